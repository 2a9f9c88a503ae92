"""Colours that all pictures share."""

# Okabe and Ito (2008): distinguishable with every common kind of colour vision, and in print.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
PINK, SKY, YELLOW = "#CC79A7", "#56B4E9", "#E69F00"
SERIES = (BLUE, ORANGE, GREEN, PINK, SKY, YELLOW)
"""The order in which lines of one picture take their colours."""
