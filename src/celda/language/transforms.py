"""Options: functions from a cell to a cell. Each works with every cell, and no engine knows about any."""

from __future__ import annotations

from dataclasses import replace

from celda.language.cell import Cell, LinearMap, Term, Weight
from celda.language.errors import CellError
from celda.language.expression import HIDDEN, Node, Value, is_probability, topological
from celda.language.operations import maximum, minimum, normalize
from celda.language.patterns import Groups, Narrow
from celda.language.rewriting import Rewriting


def zoneout(cell: Cell, probability: float, *states: str) -> Cell:
    """In training each unit of each state keeps its old value with this probability (Krueger et al. 2016).

    In evaluation the mean of both is taken. Other states see the new values as they were before zoneout, as in the
    paper. `states` names those that are meant, by default all but such as mean something only together (`@cell`): the
    paper's setting for text is `zoneout(zoneout(lstm, 0.5, "c"), 0.05, "h")`.
    """
    _check("zoneout", cell, probability)
    states = _alone("zoneout", cell, states or cell.states, named=bool(states))
    meant = () if states == cell.states else states
    rewriting = Rewriting(cell)
    rewriting.run(rewriting.same)
    outputs = {}
    for state, node in cell.outputs.items():
        if state not in states:
            outputs[state] = rewriting.becomes[node]
            continue
        kept = rewriting.mask(f"zoneout_{state}", probability, every_step=True)
        old = next((n for n in cell.nodes if n.op == "state" and n.name == state), None) or Node("state", name=state)
        outputs[state] = (kept * Value(old) + (1 - kept) * Value(rewriting.becomes[node])).node
    return rewriting.cell(_name("zoneout", cell, f"{probability:g}", *meant), _doc(cell, "zoneout"), outputs)


def recurrent_dropout(cell: Cell, probability: float) -> Cell:
    """In training units are dropped from all that recurrent matrices multiply (Gal & Ghahramani 2016).

    One mask a sequence, for every matrix; what is left is scaled by 1 / (1 - probability).
    """
    _check("recurrent_dropout", cell, probability, below=True)
    rewriting, keep = Rewriting(cell), 1 - probability
    factor = rewriting.mask("recurrent_dropout", keep, every_step=False) / keep
    dropped: dict[Node, Node] = {}

    def rule(node: Node, args: tuple[Node, ...]) -> Node:
        if node.op == "linear" and not _is_projection(cell, node):
            for arg in args:
                if arg.width == HIDDEN and arg not in dropped:
                    dropped[arg] = (Value(arg) * factor).node
            args = tuple(dropped.get(arg, arg) for arg in args)
        return rewriting.same(node, args)

    rewriting.run(rule)
    if not dropped:
        raise CellError(f"recurrent_dropout has nothing to drop: no matrix of {cell.name} multiplies a state.")
    return rewriting.cell(_name("recurrent_dropout", cell, f"{probability:g}"), _doc(cell, "recurrent dropout"))


def candidate_dropout(cell: Cell, probability: float, gate: str | None = None) -> Cell:
    """In training units of the candidate are dropped before it is written to the memory (Semeniuta et al. 2016).

    Anew at every step; what is left is scaled by 1 / (1 - probability). `gate` names the candidate, by default the one
    gate whose activation is tanh or relu.
    """
    _check("candidate_dropout", cell, probability, below=True)
    found = [name for name, node in cell.gates.items() if _activation(node) in ("tanh", "relu")]
    if gate is None and len(found) != 1:
        told = ", ".join(cell.gates)
        raise CellError(
            f"candidate_dropout cannot tell which gate of {cell.name} is the candidate: "
            f"say it with gate=, one of {told}."
        )
    chosen = _gate(cell, gate or found[0])
    rewriting, keep = Rewriting(cell), 1 - probability
    factor = rewriting.mask("candidate_dropout", keep, every_step=True) / keep

    def rule(node: Node, args: tuple[Node, ...]) -> Node:
        same = rewriting.same(node, args)
        return (Value(same) * factor).node if node is chosen else same

    name = _name("candidate_dropout", cell, f"{probability:g}", *([gate] if gate else []))
    return rewriting.run(rule).cell(name, _doc(cell, "candidate dropout"))


def clip_state(cell: Cell, limit: float, *states: str) -> Cell:
    """The new values of these states are held between -limit and limit, for all that reads them (Sak et al. 2014).

    By default every state but the output, or the output where the cell has no other. States that mean something only
    together (`@cell`) cannot be held one by one.
    """
    _check_cell("clip_state", cell)
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0:
        raise CellError(f"clip_state cannot hold a state within {limit!r}: write a number above 0.")
    held = _alone("clip_state", cell, states or cell.states[1:] or cell.states, named=bool(states))
    chosen = {cell.outputs[state] for state in held}
    rewriting = Rewriting(cell)

    def rule(node: Node, args: tuple[Node, ...]) -> Node:
        same = rewriting.same(node, args)
        return maximum(minimum(Value(same), float(limit)), -float(limit)).node if node in chosen else same

    return rewriting.run(rule).cell(_name("clip_state", cell, f"{limit:g}", *states), _doc(cell, "its memory clipped"))


def layer_norm(cell: Cell, bias: bool = True) -> Cell:
    """Linear maps are normalised over the hidden units, and the memory before it is squashed (Ba et al. 2016).

    `g * normalize(W x + R h) + b` takes the place of each `W x + R h + b`: a gain `norm_weight_i`, 1 at first, and a
    bias `norm_bias_i`, at first what the cell or the layer says of the map's own, or 0; `bias=False` leaves it out. So
    it is with a new state that an activation reads on its way to the output, as in `tanh(c)`.
    """
    _check_cell("layer_norm", cell)
    if not isinstance(bias, bool):
        raise CellError(f"layer_norm(..., bias={bias!r}): write True or False.")
    rewriting = Rewriting(cell)
    initial = {w.name: w.initial for w in cell.weights}
    inside = set(topological(cell.gates.values()))
    memories = {_unmixed(node): state for state, node in cell.outputs.items() if state != cell.states[0]}
    normal: dict[Node, Value] = {}

    def normalized(node: Node, name: str, start: float | None = None) -> Value:
        scaled = rewriting.vector(f"norm_weight_{name}", 1.0) * normalize(Value(node))
        return scaled + rewriting.vector(f"norm_bias_{name}", start) if bias else scaled

    def rule(node: Node, args: tuple[Node, ...]) -> Node:
        if node.op == "linear" and not _is_projection(cell, node):
            linear = cell.linear[node]
            given = [initial[name][block] for name, block in linear.biases]
            start = sum(value or 0.0 for value in given) if any(value is not None for value in given) else None
            return normalized(rewriting.unbiased(node, args), linear.gate, start).node
        if node.op in ("tanh", "sigmoid", "relu") and node not in inside and node.args[0] in memories:
            memory = node.args[0]
            if memory not in normal:
                normal[memory] = normalized(args[0], memories[memory])
            args = (normal[memory].node,)
        return rewriting.same(node, args)

    name = _name("layer_norm", cell, *([] if bias else ["bias=False"]))
    return rewriting.run(rule).cell(name, _doc(cell, "layer normalisation"))


def heads(cell: Cell, count: int) -> Cell:
    """The hidden units in groups that see nothing of one another through the recurrent matrices (Beck et al. 2024).

    The matrices are block-diagonal; `count` must divide the hidden size.
    """
    _check_cell("heads", cell)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise CellError(f"heads={count!r} cannot be: write a whole number of at least 1.")
    recurrent = [weight for weight in cell.weights if weight.is_recurrent]
    if not recurrent or cell.narrow or any(weight.pattern for weight in recurrent):
        cut = "multiply a projected output" if cell.narrow else "are cut into groups already"
        told = cut if recurrent else "multiply no state"
        raise CellError(f"heads({cell.name}, {count}) cannot be: the matrices of {cell.name} {told}.")
    groups = Groups(count, later=False)
    weights = tuple(replace(w, pattern=groups) if w.is_recurrent else w for w in cell.weights)
    name = _name("heads", cell, str(count))
    return cell if count == 1 else replace(cell, name=name, doc=_doc(cell, f"{count} heads"), weights=weights)


def projection(cell: Cell, size: int) -> Cell:
    """The output is brought to fewer units by a learned map: `h = P (o * tanh(c))` (Sak, Senior & Beaufays 2014).

    The state h, the output of the layer and what the recurrent matrices of h multiply are then `size` wide, which must
    be less than the hidden size; the other states stay as they are. Nothing but matrices may read the old output: a
    GRU, which mixes it with the new one unit by unit, cannot be projected.
    """
    _check_cell("projection", cell)
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise CellError(f"projection={size!r} cannot be: write a whole number of at least 1, below the hidden size.")
    output, heard = cell.states[0], _heard(cell, size)
    terms = [term for linear in cell.linear.values() for term in linear.terms]
    narrow = {term.weight for term in terms if term.operand in heard}
    if cell.narrow or any(weight.pattern for weight in cell.weights if weight.name in narrow):
        told = "is projected already" if cell.narrow else f"is cut into groups by the matrix of {output}"
        raise CellError(f"projection({cell.name}, {size}) cannot be: {cell.name} {told}.")
    rewriting = Rewriting(cell)
    # an array that multiplies whole values too is parted in two
    apart = {t.weight: "" for t in terms if t.weight in narrow and t.operand not in heard}
    rewriting.weights = [replace(w, pattern=Narrow(columns=size)) if w.name in narrow else w for w in cell.weights]
    for weight in [w for w in cell.weights if w.name in apart]:
        apart[weight.name] = rewriting.array(weight)

    def rule(node: Node, args: tuple[Node, ...]) -> Node:
        made = rewriting.same(node, args)
        if node.op == "linear":
            whole = {t for t in cell.linear[node].terms if t.operand not in heard and t.weight in apart}
            pairs = zip(cell.linear[node].terms, rewriting.linear[made].terms, strict=True)
            parted = tuple(replace(new, weight=apart[old.weight]) if old in whole else new for old, new in pairs)
            rewriting.linear[made] = replace(rewriting.linear[made], terms=parted)
        return made

    rewriting.run(rule)
    outputs = {state: rewriting.becomes[node] for state, node in cell.outputs.items()}
    matrix = rewriting.array(Weight("weight_hr", 1, HIDDEN, (None,), Narrow(rows=size)))
    narrowed = Node("linear", (outputs[output],))
    rewriting.linear[narrowed] = LinearMap(output, (Term(outputs[output], matrix, 0),), ())
    name, doc = _name("projection", cell, str(size)), _doc(cell, f"its output projected to {size} units")
    return replace(rewriting.cell(name, doc, outputs | {output: narrowed}), narrow={output: size})


def _heard(cell: Cell, size: int) -> set[Node]:
    """The old output and what is made of it that is 0 where it is; matrices alone may read it."""
    names, found = (cell.states[0], f"{cell.states[0]}_below"), set[Node]()
    for node in cell.nodes:
        inside = [arg for arg in node.args if arg in found]
        others = [arg for arg in node.args if arg not in found]
        if node.op in ("state", "below") and node.name in names:
            found.add(node)
        elif inside and node.op != "linear":
            scaled = node.op in ("multiply", "divide") and node.args[0] in inside and all(map(_is_given, others))
            if node.op not in ("tanh", "relu", "identity", "stop_gradient", "negate", "abs") and not scaled:
                raise CellError(
                    f"projection({cell.name}, {size}) cannot be: {cell.name} reads its old output "
                    f"{cell.states[0]} unit by unit, and projected it has fewer units. Take a cell in which matrices "
                    "alone read it, such as the LSTM, and take other options after the projection."
                )
            found.add(node)
    return found


def couple(cell: Cell, gate: str = "i", to: str = "f") -> Cell:
    """One gate is 1 minus another and learns nothing of its own (coupled input and forget gates, Greff et al. 2015).

    The weights of `gate` are left out; those of `to` keep their initial biases. The paper keeps the input gate and has
    f = 1 - i, `couple(cell, "f", "i")`; by default the forget gate is kept, with the bias that it starts with. A gate
    in which states share that mean something only together (`@cell`) is refused.
    """
    _check_cell("couple", cell)
    chosen, other = _gate(cell, gate), _gate(cell, to)
    if chosen is other:
        raise CellError(f"couple takes two gates of {cell.name} and there is one, {gate!r}: write gate= and to=.")
    joint = [state for state in cell.together if chosen in topological([cell.outputs[state]])]
    if len(joint) > 1:
        raise CellError(
            f"The gate {gate} of {cell.name} has a part in {', '.join(joint)}, which mean something only together: "
            f"with 1 - {to} in its place one of them may be 0, and another is divided by it. Leave couple out."
        )
    if chosen in topological([other]):
        raise CellError(f"The gate {to} of {cell.name} is computed from {gate}: couple(..., gate={to!r}, to={gate!r})?")
    rewriting = Rewriting(cell)
    # the other gate may stand later in the definition, so it is rewritten first
    order = dict.fromkeys((*topological([other]), *cell.nodes))
    for node in order:
        args = tuple(rewriting.becomes[arg] for arg in node.args)
        rewriting.becomes[node] = (
            (1 - Value(rewriting.becomes[other])).node if node is chosen else rewriting.same(node, args)
        )
    which = () if (gate, to) == ("i", "f") else (gate, to)
    return rewriting.cell(_name("couple", cell, *which), _doc(cell, f"{gate} = 1 - {to}"))


def weight_drop(cell: Cell, probability: float) -> Cell:
    """In training weights of the recurrent matrices are dropped, anew at every call (Merity et al. 2018, AWD-LSTM)."""
    _check("weight_drop", cell, probability, below=True)
    if not any(weight.is_recurrent for weight in cell.weights):
        raise CellError(f"weight_drop has nothing to drop: no matrix of {cell.name} multiplies a state.")
    name = _name("weight_drop", cell, f"{probability:g}")
    dropped = cell.weight_drop + probability - cell.weight_drop * probability  # what each of them drops
    return replace(cell, name=name, doc=_doc(cell, "weight drop"), weight_drop=dropped)


def _name(option: str, cell: Cell, *arguments: str) -> str:
    """What a cell with an option is called: as it is written."""
    return f"{option}({', '.join((cell.name, *arguments))})"


def _alone(option: str, cell: Cell, states: tuple[str, ...], named: bool) -> tuple[str, ...]:
    """Those of the states that an option may change by themselves; the caller `named` them, or left the choice."""
    if unknown := [state for state in states if state not in cell.states]:
        raise CellError(f"{cell.name} has no state {unknown[0]!r}; it has {', '.join(cell.states)}.")
    found = tuple(state for state in states if state not in cell.together)
    if not found or (named and found != states):
        told = ", ".join(cell.together)
        raise CellError(
            f"{option} cannot change {told} of {cell.name} one by one: they mean something only beside one another. "
            f"Name other states, {option}({cell.name}, ..., {cell.states[0]!r}), or leave {option} out."
        )
    return found


def _unmixed(node: Node) -> Node:
    """A new state as it was before zoneout, whose mixture with the old one is `kept * old + (1 - kept) * new`."""
    if node.op == "add" and all(arg.op == "multiply" for arg in node.args):
        (kept, _), (rest, new) = (arg.args for arg in node.args)
        if kept.op == "mask" and rest.op == "subtract" and rest.args[1] is kept:
            return new
    return node


def _gate(cell: Cell, name: str) -> Node:
    if not isinstance(name, str) or name not in cell.gates:
        raise CellError(f"{cell.name} has no gate {name!r}; it has {', '.join(cell.gates)}.")
    return cell.gates[name]


def _activation(node: Node) -> str:
    """The operation that made a gate, whatever options did with its value."""
    inner = [n for n in node.args if not _is_given(n)]
    if node.op in ("multiply", "divide", "maximum", "minimum") and len(inner) == 1:
        return _activation(inner[0])
    return node.op


def _is_projection(cell: Cell, node: Node) -> bool:
    """Whether a linear map brings the output to fewer units."""
    names = {term.weight for term in cell.linear[node].terms}
    return any(weight.is_projection for weight in cell.weights if weight.name in names)


def _is_given(node: Node) -> bool:
    """Whether this is made of numbers and masks alone."""
    return all(n.op in ("number", "mask") for n in topological([node]) if not n.args)


def _check_cell(option: str, given: object) -> None:
    if not isinstance(given, Cell):
        raise CellError(
            f"{option} takes a cell and this is {given!r}: write {option}(CELLS['lstm'], ...) with CELLS from "
            "celda.cells, or give a cell of your own (@cell)."
        )


def _check(option: str, cell: Cell, given: float, below: bool = False) -> None:
    _check_cell(option, cell)
    if not is_probability(given) or (below and given == 1):
        told = "from 0 to below 1" if below else "from 0 to 1"
        raise CellError(f"{option}={given!r} is no probability that can be used: write a number {told}.")


def _doc(cell: Cell, option: str) -> str:
    first, _, rest = cell.doc.partition("\n")
    return f"{first.removesuffix('.')}, with {option}.\n{rest}".strip()
