"""The plan before a run: as many tiles as the memory asks for, and what happens when it was wrong."""

import os
import subprocess
import sys
import textwrap

import pytest
import torch

from impasto.errors import OptionError
from impasto.events import Started, Step
from impasto.style_transfer.optimize import iter_optimize, out_of_memory
from impasto.style_transfer.options import StylizeOptions
from impasto.style_transfer.plan import Scale, available_memory, plan_run, scale_seconds, seconds_per_pixel, smaller
from nets import kept, picture, tiny_vgg

CPU = torch.device("cpu")
BIG = StylizeOptions(size=6000)


def plan(limit, options=BIG, size=(4000, 6000)):
    return plan_run(size, [tiny_vgg()], options.changed(max_memory=limit), CPU)


def test_without_need_nothing_is_cut():
    assert all(scale.tile is None and scale.history == 20 for scale in plan("500G"))


def test_less_memory_means_more_tiles_first_and_less_history_then():
    roomy, tight = plan("500G"), plan(f"{plan('500G')[-1].memory - 2**24}")
    assert tight[-1].tile == 2048 and tight[-1].history == 20
    assert [(s.tile, s.history) for s in tight[:-1]] == [(s.tile, s.history) for s in roomy[:-1]]
    limits = [roomy[-1].memory * share // 100 for share in (100, 80, 60, 45, 35)]
    last = [plan(str(limit))[-1] for limit in limits]
    assert all(scale.memory <= limit for scale, limit in zip(last, limits, strict=True))
    histories = [scale.history for scale in last]
    assert histories == sorted(histories, reverse=True) and histories[-1] < 20


def test_too_little_for_one_tile_is_one_sentence():
    with pytest.raises(OptionError, match=r"^max_memory is 100M, but .*x.* px need .* at least; allow more, or "):
        plan("100M")


@pytest.mark.parametrize("text,count", [("4G", 4 * 10**9), ("800M", 8 * 10**8), ("1.5 GB", 15 * 10**8), ("77", 77)])
def test_sizes_are_read_as_people_write_them(text, count):
    assert StylizeOptions(max_memory=text).max_memory == count


@pytest.mark.parametrize("text", ["much", "-4G", "4X", "", "0"])
def test_other_sizes_are_refused(text):
    with pytest.raises(OptionError, match="^max_memory is "):
        StylizeOptions(max_memory=text)


def test_small_scales_are_left_out():
    assert [scale.height for scale in plan("500G", StylizeOptions(size=64, min_size=16, motifs=1), (20, 40))] == [
        16,
        32,
    ]
    assert len(plan("500G", StylizeOptions(size=64, min_size=16, motifs=1), (3, 40))) == 1


def test_a_step_down_gets_smaller_until_nothing_is_left():
    scale, seen = Scale(1000, 800, 5, None, 20), []
    while scale is not None:
        seen.append((scale.tile, scale.history))
        scale = smaller(scale)
    assert seen[:3] == [(None, 20), (768, 10), (512, 5)]
    assert seen[-1] == (64, 1)


def test_work_of_tiles_counts_their_overlap_and_the_second_pass():
    # 64 x 64 in four tiles of 32 with 16 px around: crops of 48 x 48 each.
    assert Scale(64, 64, 1, 32).seen(reach=9) == 4 * 48 * 48 * 4 // 3
    assert len(Scale(64, 64, 1, 32).tiles(reach=9)) == 4


def test_the_estimate_is_a_measurement():
    rate = seconds_per_pixel(tiny_vgg(), StylizeOptions(style_weights=(1, 2)), torch.zeros(()))
    assert 1e-9 < rate < 1e-4


def test_the_time_is_that_of_all_steps_with_their_own_network(monkeypatch):
    slow, fast = tiny_vgg(), tiny_vgg(1)
    monkeypatch.setattr(
        "impasto.style_transfer.plan.seconds_per_pixel", lambda encoder, *_: 3.0 if encoder is slow else 2.0
    )
    scales = [Scale(32, 32, 5), Scale(64, 64, 7), Scale(64, 64, 11, network=1)]
    expected = [2 * 5 * 32 * 32, 2 * 7 * 64 * 64, 3 * 11 * 64 * 64]
    assert scale_seconds(scales, [fast, slow], StylizeOptions(), torch.zeros(())) == expected


def test_there_is_memory_to_be_had():
    assert 2**28 < available_memory(CPU) < 2**50


def test_the_plan_is_told_first():
    options = StylizeOptions(size=96, min_size=48, steps=2)
    first = next(iter(iter_optimize(picture(72, 96), [picture(40, 40, 1)], tiny_vgg(), options)))
    assert isinstance(first, Started)
    assert first.scales == ((36, 48, 2), (72, 96, 1)) and first.tiles == (1, 1)
    assert first.memory > 2**20 and 0 < first.seconds < 60


def test_the_last_steps_are_taken_with_the_network_that_polishes():
    seen = []

    def watched(seed):
        encoder = tiny_vgg(seed)
        encoder.register_forward_pre_hook(lambda module, inputs: seen.append((seed, *inputs[0].shape[-2:])))
        return encoder

    options = StylizeOptions(size=64, min_size=32, steps=2, polish=3)
    events, states = [], []
    for event in iter_optimize(picture(48, 64), [picture(40, 40, 1)], watched(1), options, polish=watched(2)):
        events.append(event)
        states += [kept(event)] if isinstance(event, Step) else []
    assert events[0].scales == ((24, 32, 2), (48, 64, 1), (48, 64, 3))
    steps = [event for event in events if isinstance(event, Step)]
    assert [step.step for step in steps] == [1, 2, 3, 4, 5, 6] and steps[-1].steps == 6
    assert [call for call in seen if call[1] == 24] == [(1, 24, 32)] * 3  # the photograph's features, then two steps
    assert [call for call in seen if call[1:] == (48, 64)][-4:] == [(2, 48, 64)] * 4
    alone = list(iter_optimize(picture(48, 64), [picture(40, 40, 1)], tiny_vgg(1), options))
    assert alone[0].scales == ((24, 32, 2), (48, 64, 1))
    resumed = list(
        iter_optimize(picture(48, 64), [picture(40, 40, 1)], tiny_vgg(1), options, polish=tiny_vgg(2), resume=states[3])
    )
    assert torch.equal(resumed[-1].image, events[-1].image)


def test_a_run_in_tiles_paints_the_same_picture_and_resumes_to_the_same_bytes(monkeypatch):
    monkeypatch.setattr("impasto.style_transfer.plan._SIDES", (64, 48, 32))
    monkeypatch.setattr("impasto.style_transfer.plan._GOOD_SIDE", 32)
    monkeypatch.setattr(
        "impasto.style_transfer.plan.used_memory", lambda device: 0
    )  # else a limit would mean another thing each time
    options = StylizeOptions(size=160, min_size=80, steps=6, history=3)
    pictures = picture(120, 160), [picture(90, 80, 1)]
    encoder = tiny_vgg(padding="replicate")
    whole = list(iter_optimize(*pictures, encoder, options))
    limit = plan_run((120, 160), [encoder], options, CPU)[-1].memory - 2**19
    tight = options.changed(max_memory=limit)
    cut = []
    for event in iter_optimize(*pictures, encoder, tight):
        cut.append(kept(event) if isinstance(event, Step) else event)
    assert cut[0].tiles[-1] > 1
    torch.testing.assert_close(cut[-1].image, whole[-1].image, rtol=0, atol=2e-2)
    resumed = list(iter_optimize(*pictures, encoder, tight.changed(max_memory=2 * limit), resume=cut[7]))
    assert resumed[0].tiles == cut[0].tiles
    assert torch.equal(resumed[-1].image, cut[-1].image)


def test_out_of_memory_is_told_from_other_errors():
    assert out_of_memory(MemoryError())
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not out_of_memory(RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**55)
    assert out_of_memory(error.value)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is set as Linux knows it")
def test_when_memory_runs_out_it_steps_down_and_says_so():
    code = """
        import resource, sys
        sys.path.insert(0, "tests")
        import psutil, torch
        from impasto.style_transfer.optimize import iter_optimize
        from impasto.style_transfer.options import StylizeOptions
        from nets import picture, tiny_vgg
        torch.set_num_threads(1)
        options = StylizeOptions(size=2048, min_size=2048, steps=1, max_memory="100G")
        pictures = picture(1536, 2048), [picture(90, 80, 1)]
        run = iter_optimize(*pictures, tiny_vgg(), options)
        print(next(run).tiles)
        limit = psutil.Process().memory_info().vms + 520 * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for event in run:
            print(type(event).__name__, getattr(event, "text", ""))
    """
    given_back = {"MALLOC_MMAP_THRESHOLD_": "65536"}  # what is freed leaves the process, as the limit counts it
    environment = {**os.environ, **given_back}
    run = [sys.executable, "-c", textwrap.dedent(code)]
    shown = subprocess.run(run, capture_output=True, text=True, env=environment, check=False)
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0] == "(1,)"
    assert lines[1].startswith("Note memory ran out; the run continues in tiles of ")
    assert lines[-1].strip() == "Done"


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is measured as Linux does")
def test_a_run_in_tiles_stays_below_its_limit():
    code = """
        import re, sys
        from pathlib import Path
        sys.path.insert(0, "tests")
        import psutil, torch
        from impasto.style_transfer.optimize import iter_optimize
        from impasto.style_transfer.options import StylizeOptions
        from nets import picture, tiny_vgg
        torch.set_num_threads(1)
        pictures, network = (picture(1152, 1536), [picture(90, 80, 1)]), tiny_vgg()
        limit = psutil.Process().memory_info().rss + 400 * 10**6
        options = StylizeOptions(size=1536, min_size=384, steps=6, polish=0, max_memory=limit)
        for event in iter_optimize(*pictures, network, options):
            if type(event).__name__ == "Started":
                print(event.tiles[-1], event.memory <= limit)
        # not ru_maxrss, which begins with that of the process that started this one
        print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024 / limit)
    """
    shown = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    tiles, planned, peak = shown.stdout.split()
    assert int(tiles) > 1 and planned == "True"
    assert 0.5 < float(peak) <= 1.0
