"""An LSTM that learns to write, one character at a time: the whole program, NumPy and nothing else.

    python one_file.py [TEXT] [UPDATES]

It learns from a text file, or without one from its own source. Sizes: T time, B batch, H hidden,
V characters. A gradient is called d and the name of its value: dh is dloss/dh.
"""

import sys

import numpy as np

T, B, H = 40, 16, 96
RATE, MAX_NORM, UPDATES = 1.0, 5.0, 1000


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def parameters(V, H, rng):
    shapes = {"E": (V, H), "Wx": (H, 4 * H), "Wh": (H, 4 * H), "b": 4 * H, "Wy": (H, V), "by": V}
    p = {name: rng.uniform(-0.1, 0.1, shape) for name, shape in shapes.items()}
    p["b"][H : 2 * H] += 1  # forget gates begin open: a new cell remembers
    return p


def forward(p, x, y, h, c):
    """Predict ids y from ids x, (T, B); return the loss, the last h and c, and a record."""
    loss, record = 0.0, []
    for t in range(len(x)):
        h_prev, c_prev, e = h, c, p["E"][x[t]]  # (B, H): a row of the table for each id
        a_i, a_f, a_g, a_o = np.split(e @ p["Wx"] + h_prev @ p["Wh"] + p["b"], 4, axis=1)
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
        c = f * c_prev + i * g  # keep some, write some
        h = o * np.tanh(c)  # show some
        z = h @ p["Wy"] + p["by"]  # (B, V): a score for each character that may come next
        z = np.exp(z - z.max(axis=1, keepdims=True))
        probability = z / z.sum(axis=1, keepdims=True)
        loss -= np.log(probability[np.arange(len(h)), y[t]]).mean()
        record.append((e, h_prev, c_prev, i, f, g, o, c, h, probability))
    return loss, h, c, record


def backward(p, x, y, record):
    """Return dloss/dp, with the shapes of p: the lines of `forward` from the last to the first."""
    d = {name: np.zeros_like(array) for name, array in p.items()}
    dh_next = dc_next = 0
    for t in reversed(range(len(x))):
        e, h_prev, c_prev, i, f, g, o, c, h, probability = record[t]
        dz = probability.copy()  # softmax and logarithm together: probability - (1 if right)
        dz[np.arange(len(h)), y[t]] -= 1
        dz /= len(h)
        d["Wy"] += h.T @ dz
        d["by"] += dz.sum(axis=0)
        dh = dz @ p["Wy"].T + dh_next  # h was used twice: by z, and by the next step
        dc = dh * o * (1 - np.tanh(c) ** 2) + dc_next  # and so was c
        da_i, da_f = dc * g * i * (1 - i), dc * c_prev * f * (1 - f)
        da_g, da_o = dc * i * (1 - g**2), dh * np.tanh(c) * o * (1 - o)
        da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)  # (B, 4H)
        d["Wx"] += e.T @ da
        d["Wh"] += h_prev.T @ da
        d["b"] += da.sum(axis=0)
        np.add.at(d["E"], x[t], da @ p["Wx"].T)  # a character may occur several times
        dh_next, dc_next = da @ p["Wh"].T, dc * f
    return d


def step(p, d):
    """Gradient descent, with the norm of all gradients together held at MAX_NORM; change p."""
    norm = np.sqrt(sum((gradient**2).sum() for gradient in d.values()))
    for name in p:
        p[name] -= RATE * min(1, MAX_NORM / norm) * d[name]


def check(p, x, y, h, c, rng):
    """Return the largest relative error of `backward`, against slopes in random directions."""
    d, worst, epsilon = backward(p, x, y, forward(p, x, y, h, c)[-1]), 0.0, 1e-5
    for name in p:
        direction = rng.standard_normal(p[name].shape)
        up, down = ({**p, name: p[name] + s * epsilon * direction} for s in (1, -1))
        slope = (forward(up, x, y, h, c)[0] - forward(down, x, y, h, c)[0]) / (2 * epsilon)
        claimed = (d[name] * direction).sum()
        worst = max(worst, abs(slope - claimed) / max(abs(slope), abs(claimed), 1e-9))
    return worst


def sample(p, first, length, rng):
    """Return ids: each is drawn from the probabilities that the model gives after the last one."""
    ids, h, c = [first], np.zeros((1, H)), np.zeros((1, H))
    for _ in range(length):
        _, h, c, [(*_, probability)] = forward(p, [ids[-1:]], [[0]], h, c)
        ids.append(rng.choice(len(p["by"]), p=probability[0]))
    return ids


def main(path=__file__, updates=UPDATES):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    characters, ids = np.unique(list(text), return_inverse=True)
    streams = ids[: len(ids) // B * B].reshape(B, -1).T  # (., B): B places of the text at once
    if len(streams) <= T:
        sys.exit(f"{path} must have at least {B * (T + 1)} characters, got {len(text)}")
    rng = np.random.default_rng(0)
    p, place, h, c = parameters(len(characters), H, rng), 0, np.zeros((B, H)), np.zeros((B, H))
    print(f"largest error of a gradient: {check(p, streams[:5], streams[1:6], h, c, rng):.0e}")
    for update in range(1, int(updates) + 1):
        if place + T >= len(streams):
            place, h, c = 0, np.zeros((B, H)), np.zeros((B, H))
        x, y = streams[place : place + T], streams[place + 1 : place + T + 1]
        loss, h, c, record = forward(p, x, y, h, c)  # h and c pass from window to window
        step(p, backward(p, x, y, record))
        place += T
        if update % 100 == 0:
            written = "".join(characters[sample(p, ids[0], 200, rng)])
            print(f"\n--- update {update}, loss {loss / T:.2f} nats a character\n{written}")


if __name__ == "__main__":
    main(*sys.argv[1:])
