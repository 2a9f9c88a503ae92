"""The numbers of a nested record, such as a golden tape, each with its name."""


def leaves(tree, name=""):
    """Yield every number of a tree in order, with the name that grading gives it."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, f"{name}.{key}" if name else key)
    elif isinstance(tree, list):
        for k, value in enumerate(tree):
            yield from leaves(value, f"{name}[{k}]")
    else:
        yield name, tree
