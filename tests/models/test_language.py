"""The language network: its shapes, what is tied, what is dropped."""

import pytest
import torch

from celda.models import LanguageNetwork
from celda.models.language import next_token_loss, surprise


@pytest.fixture
def x():
    return torch.randint(0, 11, (7, 3), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("cell", ["lstm", "gru", "clockwork_rnn"])
@pytest.mark.parametrize("layers", [1, 2])
def test_it_goes_on_from_a_state(cell, layers, x):
    network = LanguageNetwork(cell, 11, embedding_size=5, hidden_size=8, num_layers=layers, dropout=0.1).eval()
    whole, end = network(x)
    first, state = network(x[:3], network.start(3))
    second, after = network(x[3:], state, 3)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(after, end)
    assert [one.shape for one in end] == [(layers, 3, 8)] * (2 if cell == "lstm" else 1)


@pytest.mark.parametrize("embedding_size", [6, 4])
def test_a_tied_embedding_is_the_matrix_of_the_scores(embedding_size, x):
    network = LanguageNetwork("lstm", 11, embedding_size=embedding_size, hidden_size=6, tied=True)
    assert network.output.weight is network.embedding.weight
    assert sum(p.numel() for p in network.between.parameters()) == (24 if embedding_size == 4 else 0)
    scores, _ = network(x)
    y, _ = network.recurrent(network.embedding(x))
    torch.testing.assert_close(scores, network.between(y) @ network.embedding.weight.T + network.output.bias)


def test_embedding_dropout_drops_whole_tokens_everywhere():
    network = LanguageNetwork("lstm", 11, embedding_size=5, hidden_size=6, embedding_dropout=0.5)
    x = torch.arange(11).repeat(4, 2)
    torch.manual_seed(0)
    embedded = network._embedded(x)
    kept = embedded.abs().sum(-1) > 0
    assert 0 < kept[0].sum() < 22
    assert (kept == kept[0]).all()
    torch.testing.assert_close(embedded[kept], 2 * network.embedding(x)[kept])
    assert network.eval()._embedded(x).equal(network.embedding(x))


@pytest.mark.parametrize("name", ["recurrent_dropout", "weight_drop", "input_dropout", "output_dropout", "dropout"])
def test_every_dropout_is_for_training_alone(name, x):
    network = LanguageNetwork("lstm", 11, embedding_size=5, hidden_size=6, num_layers=2, **{name: 0.5})
    assert not network(x)[0].equal(network(x)[0])
    network.eval()
    assert network(x)[0].equal(network(x)[0])


def test_the_loss_is_in_nats_a_token(x):
    scores = torch.zeros(7, 3, 11)
    assert next_token_loss(scores, x).item() == pytest.approx(torch.tensor(11.0).log().item())
    assert surprise(scores, x) == pytest.approx(21 * torch.tensor(11.0).log().item())
