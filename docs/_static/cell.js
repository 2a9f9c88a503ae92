// The interactive page inside the front page: as high as it needs to be, in the colours of the site.

const frame = document.querySelector("iframe.cell");

function tell_theme() {
  frame.contentWindow.postMessage({ theme: document.documentElement.dataset.theme }, "*");
}

addEventListener("message", (event) => {
  if (event.source !== frame.contentWindow || !(event.data.height > 0)) return;
  frame.style.height = `${event.data.height}px`;
});
frame.addEventListener("load", tell_theme);
new MutationObserver(tell_theme).observe(document.documentElement, {
  attributeFilter: ["data-theme"],
});
