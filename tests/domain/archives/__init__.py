"""Distribution files, honest and not, built in memory byte by byte."""
