"""What is carried from one registry to another in one file: its list, its pages, its framing. Never a path: members are named by digest."""
