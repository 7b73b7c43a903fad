from lowmem_sentiment.dataset.explore import explore
from lowmem_sentiment.monitoring.exploration_events import write_exploration


def test_tensorboard_reads_the_histogram_and_the_texts(dataset, tmp_path):
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util.tensor_util import make_ndarray

    found = explore(dataset)
    write_exploration(found, tmp_path / "board")
    (path,) = (tmp_path / "board").iterdir()
    values = {
        value.tag: (value.metadata.plugin_data.plugin_name, make_ndarray(value.tensor))
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
    }
    plugin, bins = values["explore/length"]
    assert plugin == "histograms"
    assert bins[:, 2].sum() == 200 and (bins[1:, 0] == bins[:-1, 1]).all()
    plugin, text = values["explore/words_of_positive"]
    assert plugin == "text" and b"| wonderful |" in text.item()
