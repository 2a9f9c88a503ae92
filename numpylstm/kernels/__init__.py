"""Every compiled function. Kernels take arrays, fill arrays and check nothing."""
