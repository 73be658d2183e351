from __future__ import annotations

import itertools
import shutil
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bert_thor.data.batches.rows import Rows, TrainingBatches, evaluation_batches, most_frequent_label, row_numbers
from bert_thor.data.errors import DataError, RecordError
from bert_thor.data.records.folder import open_folder
from bert_thor.data.records.manifest import Manifest
from bert_thor.data.records.schema import Batch

Prepared = tuple[Path, Manifest]
VOCAB_SIZE = 200  # of the folder `prepared`


@pytest.fixture(scope="module")
def rows(prepared: Prepared) -> Rows:
    return Rows(open_folder(prepared[0]), VOCAB_SIZE)


def take(rows: Rows, batches: int, global_batch: int = 12, **options: int) -> list[Batch]:
    stream = TrainingBatches(rows, global_batch, seed=5, **options)
    taken = list(itertools.islice(stream, batches))
    stream.close()
    return taken


def same(left: Batch, right: Batch) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right))


def joined(batches: list[Batch]) -> Batch:
    return Batch(*(np.concatenate(columns) for columns in zip(*batches)))


def test_columns_have_the_shapes_and_types_that_the_network_takes(rows: Rows) -> None:
    batch = rows.read(np.arange(6))
    shapes = [(6, 32)] * 3 + [(6, 4)] * 3 + [(6,)]
    assert [column.shape for column in batch] == shapes
    assert [column.dtype for column in batch] == [np.dtype(np.int32)] * 5 + [np.dtype(np.float32), np.dtype(np.int32)]


def test_an_epoch_holds_every_row_once_and_the_next_one_in_another_order(rows: Rows) -> None:
    count = len(rows)
    places = np.arange(2 * count)
    numbers = row_numbers(places, count, seed=5)
    for epoch in (numbers[:count], numbers[count:]):
        assert np.array_equal(np.sort(epoch), np.arange(count))
    assert not np.array_equal(numbers[:count], numbers[count:])
    assert not np.array_equal(numbers[:count], row_numbers(places[:count], count, seed=6))
    assert np.array_equal(row_numbers(places, count, 5, shuffle=False), places % count)


@pytest.mark.parametrize("ranks", (1, 2, 3, 4, 12))
def test_the_global_batch_does_not_depend_on_the_number_of_ranks(rows: Rows, ranks: int) -> None:
    batches = 2 * len(rows) // 12 + 1  # more than two epochs
    alone = take(rows, batches)
    shares = [take(rows, batches, rank=rank, ranks=ranks) for rank in range(ranks)]
    for number in range(batches):
        assert same(alone[number], joined([share[number] for share in shares]))


def test_resuming_at_any_place_gives_the_same_batches(rows: Rows) -> None:
    whole = take(rows, 40)
    for done in (0, 1, 7, 39):
        assert all(map(same, whole[done:], take(rows, 40 - done, position=12 * done)))


def test_resuming_with_another_batch_size_goes_on_where_the_rows_ended(rows: Rows) -> None:
    whole = joined(take(rows, 9))
    rest = joined([*take(rows, 4), *take(rows, 4, global_batch=15, position=48)])
    assert same(rest, whole)


def test_the_position_counts_what_was_delivered_not_what_was_read_ahead(rows: Rows) -> None:
    stream = TrainingBatches(rows, 12, seed=5, position=24, rank=1, ranks=2)
    assert stream.position == 24
    next(stream)
    next(stream)
    assert stream.position == 48
    stream.close()


def test_reading_ahead_changes_nothing_and_its_thread_ends(rows: Rows) -> None:
    before = threading.active_count()
    assert all(map(same, take(rows, 5, ahead=0), take(rows, 5, ahead=3)))
    for thread in threading.enumerate():
        if thread.name == "prefetch":
            thread.join(5)
    assert threading.active_count() <= before


@pytest.mark.parametrize(
    ("options", "reason"),
    (
        ({"global_batch": 10**6}, r"global batch is 1000000 rows, expected 1 to \d+"),
        ({"global_batch": 0}, r"global batch is 0 rows"),
        ({"position": -1}, r"position is -1 rows"),
        ({"ranks": 5}, r"global batch of 12 rows cannot be shared out equally to 5 ranks"),
        ({"rank": 2, "ranks": 2}, r"rank 2"),
    ),
)
def test_unusable_batches_are_refused(rows: Rows, options: dict[str, int], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        take(rows, 1, **options)


def test_evaluation_reads_every_row_once_in_order_and_fills_up_with_zeros(rows: Rows) -> None:
    size = next(size for size in range(7, 100) if len(rows) % size)
    parts = list(evaluation_batches(rows, size))
    assert [count for _, count in parts] == [size] * (len(rows) // size) + [len(rows) % size]
    assert all(len(batch.input_ids) == size for batch, _ in parts)
    everything = joined([batch for batch, _ in parts])
    assert same(Batch(*(column[: len(rows)] for column in everything)), rows.read(np.arange(len(rows))))
    assert not any(column[len(rows) :].any() for column in everything)
    with pytest.raises(DataError, match="batch size is 0"):
        next(evaluation_batches(rows, 0))


def test_the_first_rows_are_those_of_the_first_file(prepared: Prepared, rows: Rows) -> None:
    """MLPerf v0.7 evaluates on the first 10,000 rows of the training set."""
    first = Rows(open_folder(prepared[0]), VOCAB_SIZE, first=9)
    assert len(first) == 9
    file = Rows(open_folder_file(prepared[0], "part-00000-of-00003.tfrecord"), VOCAB_SIZE)
    assert same(first.read(np.arange(9)), file.read(np.arange(9)))
    assert len(Rows(open_folder(prepared[0]), VOCAB_SIZE, first=10**9)) == len(rows)


def open_folder_file(folder: Path, name: str) -> object:
    return open_folder(folder / "train" / name, schema_file=folder / "schema.json")


def test_the_most_frequent_label_is_the_manifests_or_counted(prepared: Prepared, rows: Rows, tmp_path: Path) -> None:
    batch = rows.read(np.arange(len(rows)))
    counts = Counter(batch.masked_lm_ids[batch.masked_lm_weights > 0].tolist())
    assert counts[most_frequent_label(rows)] == counts.most_common(1)[0][1]
    foreign = Rows(open_folder(mlperf_folder(prepared[0], tmp_path)), VOCAB_SIZE)
    assert most_frequent_label(foreign) == most_frequent_label(rows)


def mlperf_folder(prepared: Path, target: Path) -> Path:
    """The training files and the schema alone, as MLPerf's folder has them."""
    for path in (prepared / "train").iterdir():
        shutil.copy(path, target / path.name)
    shutil.copy(prepared / "schema.json", target / "schema.json")
    return target


def test_a_folder_of_mlperf_files_gives_the_same_rows(prepared: Prepared, rows: Rows, tmp_path: Path) -> None:
    foreign = Rows(open_folder(mlperf_folder(prepared[0], tmp_path)), VOCAB_SIZE)
    assert same(foreign.read(np.arange(len(rows))), rows.read(np.arange(len(rows))))


@pytest.fixture
def damaged(prepared: Prepared, tmp_path: Path) -> Path:
    """Row 3 of the first file has a wrong checksum; the second file ends inside its last record."""
    folder = mlperf_folder(prepared[0], tmp_path)
    files = sorted(folder.glob("*.tfrecord"))
    content = bytearray(files[0].read_bytes())
    start = 0
    for _ in range(3):
        start += int.from_bytes(content[start : start + 8], "little") + 16
    content[start + 40] ^= 1
    files[0].write_bytes(content)
    files[1].write_bytes(files[1].read_bytes()[:-5])
    return folder


def test_damage_stops_training_with_file_record_and_reason(damaged: Path) -> None:
    with pytest.raises(RecordError, match=r"part-00001-of-00003\.tfrecord: record \d+: its length .* beyond the end"):
        Rows(open_folder(damaged), VOCAB_SIZE)
    first = damaged / "part-00000-of-00003.tfrecord"
    stream = TrainingBatches(Rows(open_folder(first), VOCAB_SIZE), 4, seed=0, shuffle=False)
    with pytest.raises(RecordError, match=r"part-00000-of-00003\.tfrecord: record 3: the checksum of the data"):
        next(stream)
    with pytest.raises(StopIteration):
        next(stream)


def test_damage_can_be_skipped_and_is_counted(damaged: Path, rows: Rows) -> None:
    sound = Rows(open_folder(damaged), VOCAB_SIZE, skip_damaged=True)
    assert len(sound) == len(rows) - 1 and sound.skipped == 1  # the record that is cut off
    batch = sound.read(np.arange(2, 6))
    assert sound.skipped == 2
    assert same(batch, rows.read(np.array([2, 4, 4, 5])))


def test_a_folder_whose_rows_are_all_damaged_is_refused(damaged: Path) -> None:
    first = damaged / "part-00000-of-00003.tfrecord"
    content = bytearray(first.read_bytes())
    size = int.from_bytes(content[:8], "little") + 16
    content[size - 1] ^= 1
    first.write_bytes(content[:size])
    with pytest.raises(DataError, match=r"every row of .* is damaged"):
        Rows(open_folder(first), VOCAB_SIZE, skip_damaged=True).read(np.array([0]))


def test_mindspore_reads_our_files_with_our_schema(
    prepared: Prepared, rows: Rows, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    dataset = pytest.importorskip("mindspore.dataset")
    files = [str(path) for path in rows.folder.files]
    schema = str(prepared[0] / "schema.json")
    theirs = dataset.TFRecordDataset(
        files, schema, columns_list=list(Batch._fields), shuffle=False, num_parallel_workers=1
    )
    ours = rows.read(np.arange(len(rows)))
    count = 0
    for number, row in enumerate(theirs.create_tuple_iterator(num_epochs=1, output_numpy=True)):
        for name, expected, found in zip(Batch._fields, ours, row):
            assert np.array_equal(np.atleast_1d(expected[number]), found), (number, name)
        count += 1
    assert count == len(rows)
