"""After an upgrade: names of TensorBoard that we use, and that it does not promise, are gone."""

import pytest

from lowmem_sentiment.system import workarounds


@pytest.mark.filterwarnings("ignore:html5lib:DeprecationWarning")
def test_without_its_private_names_tensorboard_is_used_as_it_is(monkeypatch):
    from tensorboard import plugin_util, program
    from tensorboard.plugins.hparams.backend_context import Context

    monkeypatch.delattr(program.TensorBoard, "_make_data_ingester")
    monkeypatch.delattr(plugin_util, "_ALLOWED_TAGS")
    monkeypatch.delattr(Context, "_compute_hparam_infos")
    with pytest.warns(RuntimeWarning, match="TensorBoard has a different name .* by their folders"):
        assert workarounds.board_with_run_names(str) is program.TensorBoard
    with pytest.warns(RuntimeWarning, match="may show pictures"):
        workarounds.without_pictures()
    with pytest.warns(RuntimeWarning, match="all are shown"):
        workarounds.show_what_varies()
