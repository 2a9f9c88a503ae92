// Fit the interactive page into the front page: its height, and the theme of the site.

const frame = document.querySelector("iframe.cell");

function post_theme() {
  frame.contentWindow.postMessage({ theme: document.documentElement.dataset.theme }, "*");
}

addEventListener("message", (event) => {
  if (event.source !== frame.contentWindow || !(event.data.height > 0)) return;
  frame.style.height = `${event.data.height}px`;
});
frame.addEventListener("load", post_theme);
new MutationObserver(post_theme).observe(document.documentElement, {
  attributeFilter: ["data-theme"],
});
