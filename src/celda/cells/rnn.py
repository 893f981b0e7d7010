"""The plain recurrent networks, where the gradient vanishes."""

from celda.language import cell, gate, linear, relu, tanh


@cell
def jordan(x, h):
    """Plain recurrent network that is fed back its output (Jordan 1986).

    A hidden layer `a` sees the input and the output of the step before; `h` is the output layer, as wide as the hidden
    one, since all values of a cell are. Jordan's state units also keep a fading trace of earlier outputs, which
    textbooks leave out, and so does this.
    """
    a = gate("a", tanh, linear(x, h))
    return gate("h", tanh, linear(a))


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
    """Plain recurrent network told a picture's features (Karpathy & Fei-Fei 2015).

    The paper gives them at the first step alone; for that, let zeros follow.
    """
    return gate("h", tanh, linear(x, h, image))
