"""Learning curves from the attempts of a run."""

from disentangle_bench.evaluation.leaderboard.report.curves import read, thin


def attempt(run, number, text):
    folder = run / "logs" / f"attempt_{number}"
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text(text)


def test_later_attempts_count_where_steps_meet(tmp_path):
    attempt(tmp_path, 0, "epoch,loss,step\n0,3.0,10\n0,2.0,20\n0,9.0,30\n")
    attempt(tmp_path, 2, "epoch,loss,lr,step\n0,1.5,0.1,30\n0,1.0,,40\n")
    attempt(tmp_path, 10, "epoch,loss,step\n0,0.5,40\n")
    curve = read(tmp_path)
    loss = curve[curve["name"] == "loss"]
    assert dict(zip(loss["step"], loss["value"], strict=True)) == {10: 3.0, 20: 2.0, 30: 1.5, 40: 0.5}
    assert curve.loc[curve["name"] == "lr", "value"].tolist() == [0.1]
    assert set(curve["name"]) == {"loss", "lr"}


def test_protocol_figures_and_what_is_no_number_are_left_out(tmp_path):
    attempt(tmp_path, 0, "features/linear@1/top1,loss,step\n,nan,1\n,inf,2\n,text,3\n,0.5,4\n0.9,,0\n,0.4,\n")
    curve = read(tmp_path)
    assert curve.to_numpy().tolist() == [[4, "loss", 0.5]]


def test_files_that_cannot_be_read_and_runs_without_logs_give_nothing(tmp_path):
    assert len(read(tmp_path)) == 0
    attempt(tmp_path, 0, "")
    attempt(tmp_path, 1, "a,b\n1,2\n")
    (tmp_path / "logs/attempt_1/metrics.csv").with_name("other.csv").write_text("loss,step\n1,1\n")
    assert len(read(tmp_path)) == 0
    assert len(thin(read(tmp_path))) == 0


def test_thinned_curves_keep_both_ends(tmp_path):
    attempt(tmp_path, 0, "loss,step\n" + "".join(f"{s / 1000},{s}\n" for s in range(1001)))
    steps = thin(read(tmp_path), 100)["step"].tolist()
    assert (steps[0], steps[-1]) == (0, 1000)
    assert len(steps) == 92, "every eleventh"
    assert len(thin(read(tmp_path), 600)) == 501
