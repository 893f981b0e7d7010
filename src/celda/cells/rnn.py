"""The plain recurrent network, where the gradient vanishes."""

from celda.language import cell, gate, linear, relu, tanh


@cell
def rnn(x, h):
    """Plain recurrent network (Elman 1990)."""
    return gate("h", tanh, linear(x, h))


@cell
def rnn_relu(x, h):
    """Plain recurrent network with rectified units (Le, Jaitly & Hinton 2015)."""
    return gate("h", relu, linear(x, h))


@cell
def image_rnn(x, h, *, image):
    """Plain recurrent network told a picture's features at every step (Karpathy & Fei-Fei 2015)."""
    return gate("h", tanh, linear(x, h, image))
