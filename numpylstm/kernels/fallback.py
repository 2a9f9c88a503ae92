"""The exception of a kernel that Numba cannot compile."""


class CannotCompile(Exception):
    """Raised by a kernel when Numba fails to compile it; the cause is Numba's own exception."""
