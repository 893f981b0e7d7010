"""Labelled sequences from files, and one clear line for what is none."""

import numpy as np
import pandas as pd
import pytest
from scipy.io import wavfile

from celda import Classifier, Tagger
from celda.data.audio import log_mel
from celda.data.labelled import Form, Labelled
from celda.errors import CeldaError

HEAD = "# about\n@problemName demo\n@timeStamps {}\n@classLabel true a b\n@data\n"


@pytest.fixture
def write(tmp_path):
    def one(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return one


def test_a_ts_file(write):
    path = write("a.ts", HEAD.format("false") + "1,2,3:4,5,6:a\n7,8:9,?:b\n")
    data = Classifier(missing="mask").read(path)
    assert data.inputs[0].tolist() == [[1, 4], [2, 5], [3, 6]]
    assert data.inputs[1][0].tolist() == [7, 9]
    assert np.isnan(data.inputs[1][1, 1])
    assert data.labels.tolist() == ["a", "b"]
    with pytest.raises(CeldaError, match=r"a\.ts has missing values \(\?\), and missing='error': write missing='mask'"):
        Classifier().read(path)


def test_a_ts_file_with_times(write):
    text = HEAD.format("true") + "(0,1),(2.5,3):a\n(2020-01-01 00:00:00,4),(2020-01-01 00:01:00,5):b\n"
    data = Classifier().read(write("a.ts", text))
    assert data.inputs[1].tolist() == [[4], [5]]
    assert data.times[0].tolist() == [0, 2.5]
    assert np.diff(data.times[1]).tolist() == [60]


def test_texts_from_a_table_and_from_folders(write, tmp_path):
    data = Classifier().read(write("t.csv", 'text,label\n"Good, and short",pos\nbad,neg\n'))
    assert (data.kind, data.inputs, data.labels.tolist()) == ("text", ["Good, and short", "bad"], ["pos", "neg"])
    for place, (label, text) in enumerate([("neg", "malo"), ("pos", "¡qué bueno!")]):
        write(f"films/{label}/{place}.txt", text)
    data = Classifier().read(tmp_path / "films")
    assert (data.inputs, data.labels.tolist()) == (["malo", "¡qué bueno!"], ["neg", "pos"])
    assert data.ids == ["neg/0.txt", "pos/1.txt"]


def test_recordings_from_folders(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        wavfile.write(tmp_path / name / "a.wav", 8000, np.zeros(800, np.int16))
    data = Classifier().read(tmp_path)
    assert (data.kind, data.inputs[0].shape, data.labels.tolist()) == ("series", (8, 40), ["one", "two"])


def test_series_from_tables_with_a_row_a_step_or_a_row_a_series(write):
    steps = "id,when,x,y,label\nu,2,1,2,a\nv,1,3,4,b\nu,1,5,6,a\n"
    data = Classifier(time_col="when").read(write("s.csv", steps))
    assert [one.tolist() for one in data.inputs] == [[[5, 6], [1, 2]], [[3, 4]]]  # in the order of time
    assert (data.ids, data.labels.tolist(), data.times[0].tolist()) == (["u", "v"], ["a", "b"], [1, 2])
    data = Classifier(label_col="class").read(write("w.csv", "t0,t1,t2,class\n1,2,3,a\n4,5,6,b\n"))
    assert [one[:, 0].tolist() for one in data.inputs] == [[1, 2, 3], [4, 5, 6]]


def test_words_with_tags(write):
    text = "# 1\nThe\tx\tD\ncat\ty\tN\n\nruns\tz\tV\n\n\n"
    for path in (write("a.conll", text), write("a.txt", text.replace("\t", " "))):
        data = Tagger().read(path)
        assert (data.kind, data.inputs) == ("words", [["The", "cat"], ["runs"]])
        assert [tags.tolist() for tags in data.labels] == [["D", "N"], ["V"]]
    data = Tagger().read(write("a.csv", "id,token,label\n1,The,D\n1,cat,N\n2,runs,V\n"))
    assert (data.inputs, data.ids) == ([["The", "cat"], ["runs"]], ["1", "2"])
    data = Tagger().read(write("f.csv", "id,x,label\n1,0.5,up\n1,0.7,down\n"))
    assert (data.inputs[0].tolist(), data.labels[0].tolist()) == ([[0.5], [0.7]], ["up", "down"])


def test_a_hash_is_a_word_where_it_has_the_columns_of_the_others(write):
    data = Tagger().read(write("a.conll", "# sent_id = 1\nthe D\n# N\nruns V\n\n# V\n"))
    assert data.inputs == [["the", "#", "runs"], ["#"]]
    assert [tags.tolist() for tags in data.labels] == [["D", "N", "V"], ["V"]]
    assert Tagger().read(write("b.conll", "# 1\nthe\tD\n#\tN\n")).inputs == [["the", "#"]]
    assert Tagger().read(write("c.txt", "# a comment\r\nthe\r\n#\r\n"), labelled=False).inputs == [["the", "#"]]


def test_only_blanks_and_tabs_part_columns_and_only_line_feeds_lines(write):
    data = Tagger().read(write("a.conll", "12\u00a0000 N\na\u2028b\x85c V\n"))
    assert data.inputs == [["12\u00a0000", "a\u2028b\x85c"]]
    assert data.labels[0].tolist() == ["N", "V"]


def test_recordings_without_labels(tmp_path, write):
    wavfile.write(tmp_path / "a.wav", 8000, np.zeros(800, np.int16))
    for source in (tmp_path, tmp_path / "a.wav"):
        data = Classifier().read(source, labelled=False)
        assert (len(data), data.ids, data.labels, data.rate) == (1, ["a.wav"], None, 8000)
    with pytest.raises(CeldaError, match=r"a\.wav is one recording, without a label"):
        Classifier().read(tmp_path / "a.wav")
    with pytest.raises(CeldaError, match="make one for each class"):
        Classifier().read(tmp_path)


@pytest.mark.parametrize(
    ("kept", "answer"), [(6, "cannot be read"), (30, "cannot be read"), (200, "is cut off"), (1643, "is cut off")]
)
def test_a_recording_that_is_cut_off(kept, answer, tmp_path):
    path = tmp_path / "a.wav"
    wavfile.write(path, 8000, np.zeros(800, np.int16))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CeldaError, match=answer) as told:
        log_mel(path)
    assert "\n" not in str(told.value)


def test_a_recording_of_what_is_no_number(tmp_path):
    wavfile.write(tmp_path / "a.wav", 8000, np.full(800, np.nan, np.float32))
    with pytest.raises(CeldaError, match="holds a sample that is no number"):
        log_mel(tmp_path / "a.wav")


def test_columns_are_put_in_the_order_of_a_form():
    steps = Labelled("series", [np.array([[1.0, 2.0]])], None, "the table", columns=("z", "x"))
    assert steps.in_form(Form("series", ("x", "z"))).inputs[0].tolist() == [[2, 1]]
    rows = Labelled("series", [np.array([[1.0], [2.0]])], None, "the table", columns=("t1", "t0"))
    assert rows.in_form(Form("series", ("t0", "t1"))).inputs[0].tolist() == [[2], [1]]
    with pytest.raises(
        CeldaError, match="the table has a column 'z' that the model has not learnt from: it knows x, q"
    ):
        steps.in_form(Form("series", ("x", "q")))
    with pytest.raises(CeldaError, match="the table has no column 'q', which the model has learnt from"):
        steps.in_form(Form("series", ("x", "z", "q")))
    with pytest.raises(CeldaError, match="recordings of 16000 Hz, and the model was fitted on 8000 Hz"):
        Labelled("series", [], None, "the table", rate=16_000).in_form(Form("series", None, 8000))


BAD = [
    ("a.ts", b"", r"a\.ts is no \.ts file of the UEA and UCR archive, as it has no line @data"),
    ("a.ts", HEAD.format("false"), r"a\.ts holds no case after @data"),
    ("a.ts", HEAD.format("false") + "1,2:3:a\n", "line 6: its features have not the same steps"),
    ("a.ts", HEAD.format("false") + "1,x:a\n", "line 6: could not convert string to float: 'x'"),
    ("a.ts", HEAD.format("false") + "1,2:a\n1,2:3,4:b", "its cases have 1 to 2 features"),
    ("a.ts", "@classLabel false\n@data\n1,2\n", "has no classes"),
    ("a.csv", b"", r"a\.csv is empty: it needs a header line such as text,label"),
    ("a.csv", "text,label\n", "has a header and no rows"),
    (
        "a.csv",
        "text,label\nse\xf1or,a\n".encode("latin-1"),
        r"a\.csv is not UTF-8 \(line 2, byte 0xf1\): save it as UTF-8",
    ),
    ("a.csv", "text,sort\nx,a\n", r"no column 'label' of labels, only text, sort: name it \(label_col\)"),
    ("a.csv", "text,label\n12,a\n13,b\n", "column 'text' holds numbers, not texts"),
    ("a.csv", "text,label\nx,a\ny,\n", r"a\.csv, line 3: column 'label' is empty there"),
    ("a.csv", "x,z,label\n1,2,a\n1,red,b\n", r"line 3: 'red' in column 'z' is no number"),
    ("a.csv", "x,z,label\n1,2,a\n1,,b\n", r"line 3: no value in column 'z', and missing='error'"),
    ("a.csv", "id,x,label\nu,2,a\nu,1,b\n", r"line 3: series 'u' has two labels.*celda\.Tagger"),
    ("a.csv", "label\na\n", "has no column beside 'label'"),
    ("none.csv", None, "There is no file"),
    ("empty", "folder", "has no folder with .txt or .wav files in it"),
    ("f/pos/a.txt", "se\xf1or".encode("latin-1"), r"pos/a\.txt is not UTF-8 \(line 1, byte 0xf1\)"),
]


def test_a_column_of_words_that_is_not_there(write):
    with pytest.raises(CeldaError, match=r"no column 'body' of texts, only x, label: name it \(text_col\)"):
        Classifier(text_col="body").read(write("a.csv", "x,label\n1,a\n2,b\n"))
    with pytest.raises(CeldaError, match=r"no column 'word' of words, only id, x, label: name it \(token_col\)"):
        Tagger(token_col="word").read(write("b.csv", "id,x,label\n1,1,a\n1,2,b\n"))
    with pytest.raises(CeldaError, match=r"'red' in column 'x' is no number.* what it is, token_col='x' for example"):
        Tagger().read(write("c.csv", "id,x,label\n1,red,a\n1,blue,b\n"))


@pytest.mark.parametrize(("name", "text", "answer"), BAD)
def test_what_cannot_be_read_to_classify(name, text, answer, write, tmp_path):
    path = tmp_path / name
    if text == "folder":
        path.mkdir()
    elif text is not None:
        write(name, text)
    with pytest.raises(CeldaError, match=answer) as told:
        Classifier().read(tmp_path / "f" if name.startswith("f/") else path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "text", "answer"),
    [
        ("a.conll", b"", r"a\.conll is empty"),
        ("a.conll", "The D\ncat\n", r"line 2 has one column \('cat'\)"),
        ("a.conll", "The D\nbig cat N\n", "line 2 has 3 columns, and the lines before it 2"),
        ("a.conll", b"se\xf1or N\n", "is not UTF-8"),
        ("a.csv", "id,token,label\n1,,a\n", r"line 2: column 'token' is empty there"),
        ("a.csv", "id,when,x,label\n1,soon,2,a\n", r"line 2: 'soon' in column 'when' is no time"),
    ],
)
def test_what_cannot_be_read_to_tag(name, text, answer, write):
    with pytest.raises(CeldaError, match=answer):
        Tagger(time_col="when" if "when" in str(text) else None).read(write(name, text))


def test_data_frames_are_read_as_tables():
    frame = pd.DataFrame({"text": ["a b", "c"], "label": ["x", "y"]})
    assert Classifier().read(frame).inputs == ["a b", "c"]
    assert Classifier().read(frame[["text"]], labelled=False).labels is None


@pytest.mark.parametrize("kind", [Classifier, Tagger])
def test_a_column_of_names_that_was_named_is_there(kind, write):
    """Without it each row would be a series of its own, or all rows one."""
    path = write("a.csv", "id,x,label\n1,2,a\n1,3,a\n2,4,b\n")
    with pytest.raises(
        CeldaError, match=r"no column 'idd' of names of sequences.*did you mean 'id'\? name it \(id_col\)"
    ):
        kind(id_col="idd").read(path)
    assert len(kind().read(path)) == 2
