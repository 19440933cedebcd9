"""Recorded passes: the same results, for every shape in turn, and none where recording fails."""

import pytest
import torch

from inference import cuda_graphs
from inference.cuda_graphs import CapturedPass, capture
from models.fusion import fuse_batch_norm
from models.transformer_net import TransformerNet


class Recorder:
    """Stands in for CUDA: a replay computes from the recorded batch into the recorded result, and nothing else."""

    def __init__(self):
        self.captured, self.replays = [], 0

    def __call__(self, network, batch):
        self.captured.append(tuple(batch.shape))
        result = torch.zeros_like(batch)

        def replay():
            self.replays += 1
            result.copy_(network(batch))

        return result, replay


def images(value, size=4):
    return torch.full((1, 3, size, size), float(value))


def test_the_second_of_a_shape_is_recorded_and_the_later_ones_replayed():
    recorder = Recorder()
    run = CapturedPass(lambda x: x * 2, recorder)
    results = [run(images(value)) for value in range(1, 5)]
    assert [result.unique().item() for result in results] == [2, 4, 6, 8]  # earlier results are not overwritten
    assert recorder.captured == [(1, 3, 4, 4)] and recorder.replays == 3


def test_the_memory_of_two_recordings_at_most_is_kept():
    recorder = Recorder()
    run = CapturedPass(lambda x: x * 2, recorder)
    for size in (4, 8, 12, 4):
        for value in (1, 2, 3):
            assert run(images(value, size)).unique().item() == 2 * value
    assert len(recorder.captured) == 4  # the first had to go for the third
    assert len(run._graphs) == 2
    run.release()
    assert not run._graphs


def test_sizes_in_turns_and_large_pictures_are_not_recorded(monkeypatch):
    recorder = Recorder()
    run = CapturedPass(lambda x: x * 2, recorder)
    for size in (4, 8, 4, 8, 4):
        run(images(1, size))
    monkeypatch.setattr(cuda_graphs, "MOST_PIXELS", 15)
    run(images(1)), run(images(1))
    assert not recorder.captured


def test_where_recording_fails_a_warning_says_so_once_and_the_network_runs():
    def broken(network, batch):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    run = CapturedPass(lambda x: x * 2, broken)
    run(images(1))
    with pytest.warns(UserWarning, match="not permitted when stream is capturing.*runs as it is"):
        assert run(images(2)).unique().item() == 4
    assert run(images(3)).unique().item() == 6


@pytest.mark.gpu
@torch.inference_mode()
def test_a_cuda_graph_gives_the_networks_own_results():
    torch.manual_seed(0)
    network = fuse_batch_norm(TransformerNet().eval()).to("cuda", torch.bfloat16, memory_format=torch.channels_last)
    run = CapturedPass(network, capture)
    for seed in range(4):
        batch = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(seed)).cuda() * 255
        batch = batch.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(run(batch), network(batch), rtol=0, atol=1)
    assert len(run._graphs) == 1
