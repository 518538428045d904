"""Floor 0: values and rules, without a socket, a file or a clock."""
