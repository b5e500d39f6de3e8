"""Whether single codes carry single ground-truth factors: DCI, MIG, SAP, modularity, IRS, FactorVAE, beta-VAE.

Codes are float [N, D], factors int [N, F] (the values' names don't matter, except where `sap` is told that they are
numbers). The figures are those of disentanglement_lib (Locatello et al. 2019), without its faults: active codes are
counted, constant codes don't reach a division by their deviation, and a representation in which no code is active is
undefined, not 0. All of these raise

    ValueError: wrong shapes (both named), or factors that are not integers;
    MetricUndefined: empty or non-finite codes, no code that varies, a factor with a single value in the sample that
        the metric learns from, or fewer codes or factors than the metric compares (two, where it compares).

The study's sample sizes are 10 000 points to learn from and 5 000 to test. Trees (`dci`) and single-code classifiers
(discrete `sap`) cost time in proportion to codes x factors: with 512 codes a caller may want a smaller sample.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import entropy
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from disentangle_bench.evaluation.metrics.arrays import integers, matrix, real, same_width
from disentangle_bench.evaluation.metrics.errors import MetricUndefined

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
CODES = 2**25
"""Drawn codes that a sampler holds at a time."""


def dci(
    train_z: Any, train_factors: Any, test_z: Any, test_factors: Any, *, regressor: str = "gbt", seed: int = 0
) -> dict[str, float]:
    """Disentanglement, completeness, informativeness (Eastwood & Williams 2018), with gradient-boosted trees.

    Column j of the importance matrix is the feature importance of scikit-learn's GradientBoostingClassifier (100 trees,
    depth 3, rate 0.1) for factor j; the two scores are those of `dci_from_importance`.

    Returns:
        disentanglement, completeness: in [0, 1].
        informativeness_train, informativeness_test: mean accuracy over factors, in [0, 1].

    Raises:
        ValueError: also for a regressor other than "gbt".
    """
    if regressor != "gbt":
        raise ValueError(f'regressor must be "gbt", got {regressor!r}')
    train_z, train_factors, test_z, test_factors = _split(train_z, train_factors, test_z, test_factors)
    _at_least_two(train_z, "codes")
    _at_least_two(train_factors, "factors")
    importance = np.zeros((train_z.shape[1], train_factors.shape[1]))
    accuracy = np.zeros((2, train_factors.shape[1]))
    for j, (train_y, test_y) in enumerate(zip(train_factors.T, test_factors.T, strict=True)):
        trees = GradientBoostingClassifier(random_state=seed).fit(train_z, train_y)
        importance[:, j] = np.abs(trees.feature_importances_)
        accuracy[:, j] = trees.score(train_z, train_y), trees.score(test_z, test_y)
    scores = dci_from_importance(importance)
    return {
        "disentanglement": float(scores["disentanglement"]),
        "completeness": float(scores["completeness"]),
        "informativeness_train": float(accuracy[0].mean()),
        "informativeness_test": float(accuracy[1].mean()),
    }


def dci_from_importance(importance: Any) -> dict[str, Any]:
    """DCI's first two scores of an importance matrix R [D, F], not negative (Eastwood & Williams 2018, section 2).

    D_i = 1 - entropy (base F) of row i, C_j = 1 - entropy (base D) of column j, after adding 1e-11; each averaged
    with the weights of R's row (column) sums, or equally where all of R is zero.

    Returns:
        disentanglement, completeness: floats in [0, 1]; per_code [D] and per_factor [F]: their parts D_i and C_j.
    """
    r = matrix(importance, "importance").astype(np.float64)
    if (r < 0).any():
        raise ValueError("importance must not be negative")
    _at_least_two(r.T, "codes")
    _at_least_two(r, "factors")
    per_code = 1 - entropy(r + 1e-11, axis=1, base=r.shape[1])
    per_factor = 1 - entropy(r + 1e-11, axis=0, base=r.shape[0])
    weights = r if r.sum() > 0 else np.ones_like(r)
    return {
        "disentanglement": float(np.average(per_code, weights=weights.sum(axis=1))),
        "completeness": float(np.average(per_factor, weights=weights.sum(axis=0))),
        "per_code": per_code,
        "per_factor": per_factor,
    }


def mig(z: Any, factors: Any, *, bins: int = 20) -> dict[str, float]:
    """Mutual information gap (Chen et al. 2018, eq. 6): how far the best code leads the second, a factor at a time.

    Mean over factors of (largest - second largest mutual information over codes) / entropy of the factor; each code is
    cut in `bins` of equal width over its own range. Plug-in estimates: on small samples noise scores above 0.

    Returns:
        mig: in [0, 1].
    """
    z, factors = _codes(z, factors, "z", "factors", learn=True)
    _at_least_two(z, "codes")
    information = np.sort(mutual_information(z, factors, bins=bins), axis=0)
    entropies = [entropy(np.unique(column, return_counts=True)[1]) for column in factors.T]
    return {"mig": float(np.mean((information[-1] - information[-2]) / entropies))}


def mutual_information(z: Any, factors: Any, *, bins: int = 20) -> Floats:
    """Mutual information [D, F] in nats between each code, binned as by `discretize`, and each factor."""
    z, factors = _codes(z, factors, "z", "factors", learn=False)
    binned = discretize(z, bins=bins)
    result = np.zeros((z.shape[1], factors.shape[1]))
    for j, column in enumerate(factors.T):
        values, y = np.unique(column, return_inverse=True)
        for i, code in enumerate(binned.T):
            cells = np.bincount(code * len(values) + y, minlength=(bins + 1) * len(values))
            joint = cells.reshape(bins + 1, len(values)) / len(y)
            apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
            filled = joint > 0
            result[i, j] = (joint[filled] * np.log(joint[filled] / apart[filled])).sum()
    return result


def discretize(z: Any, *, bins: int = 20) -> Ints:
    """Cut each column of [N, D] in bins 1 to `bins` of equal width between its minimum and maximum.

    A value on a left edge belongs to that bin, the maximum to the last one; a constant column gets one bin.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    z = matrix(z, "z").astype(np.float64)
    edges = [np.histogram_bin_edges(column, bins)[:-1] for column in z.T]
    return np.stack([np.digitize(column, edge) for column, edge in zip(z.T, edges, strict=True)], axis=1)


def sap(
    train_z: Any, train_factors: Any, test_z: Any, test_factors: Any, *, continuous: bool = False
) -> dict[str, float]:
    """Separated attribute predictability (Kumar et al. 2018): mean over factors of best - second best code's score.

    The score of a code for a factor (`sap_matrix`) is, for `continuous` factors, their squared correlation on the
    training points; else the test accuracy of a linear SVM on that code alone (C 0.01, balanced classes).

    Returns:
        sap: in [0, 1].
    """
    scores = np.sort(sap_matrix(train_z, train_factors, test_z, test_factors, continuous=continuous), axis=0)
    return {"sap": float((scores[-1] - scores[-2]).mean())}


def sap_matrix(train_z: Any, train_factors: Any, test_z: Any, test_factors: Any, *, continuous: bool = False) -> Floats:
    """Score [D, F] of each code for each factor, as in `sap`; one of variance up to 1e-12 correlates with none."""
    train_z, train_factors, test_z, test_factors = _split(train_z, train_factors, test_z, test_factors)
    _at_least_two(train_z, "codes")
    if continuous:
        variances = train_z.var(axis=0)
        z = train_z - train_z.mean(axis=0)
        y = train_factors - train_factors.mean(axis=0)
        covariance = z.T @ y / len(z)
        r2 = covariance**2 / np.outer(np.where(variances > 1e-12, variances, 1.0), y.var(axis=0))
        return np.where(variances[:, None] > 1e-12, r2, 0.0)
    scores = np.zeros((train_z.shape[1], train_factors.shape[1]))
    for j, (train_y, test_y) in enumerate(zip(train_factors.T, test_factors.T, strict=True)):
        for i in range(len(scores)):
            svm = LinearSVC(C=0.01, class_weight="balanced", dual=False)
            scores[i, j] = svm.fit(train_z[:, [i]], train_y).score(test_z[:, [i]], test_y)
    return scores


def modularity_explicitness(
    train_z: Any, train_factors: Any, test_z: Any, test_factors: Any, *, bins: int = 20
) -> dict[str, float]:
    """Modularity and explicitness (Ridgeway & Mozer 2018).

    Modularity: mean over codes of 1 - (sum of the other factors' squared mutual information) / (the largest squared
    one x (F - 1)), from the training points; a code without information counts 0, pure noise does not score 0.
    Explicitness: one logistic regression a factor on all codes (standardised, constant ones dropped; scikit-learn's
    defaults); area under the ROC of each value against the rest, mean over values, then over factors. A value that
    all or none of the points have has no such area and is left out.

    Returns:
        modularity: in [0, 1]; explicitness_train, explicitness_test: in [0, 1], 0.5 is chance.

    Raises:
        MetricUndefined: also if no value of a factor has an area.
    """
    train_z, train_factors, test_z, test_factors = _split(train_z, train_factors, test_z, test_factors)
    _at_least_two(train_factors, "factors")
    square = mutual_information(train_z, train_factors, bins=bins) ** 2
    largest = square.max(axis=1)
    others = (square.sum(axis=1) - largest) / (square.shape[1] - 1)
    per_code = np.where(largest > 0, 1 - others / np.where(largest > 0, largest, 1.0), 0.0)
    varying = np.ptp(train_z, axis=0) > 0
    mean, std = train_z[:, varying].mean(axis=0), train_z[:, varying].std(axis=0)
    train_x, test_x = ((z[:, varying] - mean) / std for z in (train_z, test_z))
    areas = np.zeros((2, train_factors.shape[1]))
    with threadpool_limits(1):  # sums in one order
        for j, (train_y, test_y) in enumerate(zip(train_factors.T, test_factors.T, strict=True)):
            model = LogisticRegression().fit(train_x, train_y)
            areas[:, j] = _area(model, train_x, train_y, j), _area(model, test_x, test_y, j)
    return {
        "modularity": float(per_code.mean()),
        "explicitness_train": float(areas[0].mean()),
        "explicitness_test": float(areas[1].mean()),
    }


def _area(model: LogisticRegression, x: Floats, y: Ints, factor: int) -> float:
    probability = model.predict_proba(x)
    hits = [y == value for value in model.classes_]
    areas = [roc_auc_score(hit, p) for hit, p in zip(hits, probability.T, strict=True) if 0 < hit.sum() < len(y)]
    if not areas:
        raise MetricUndefined(f"explicitness: the points have one value of factor {factor}, or none of the known ones")
    return float(np.mean(areas))


def irs(z: Any, factors: Any, *, quantile: float = 0.99, bins: int = 20) -> dict[str, float]:
    """Interventional robustness score (Suter et al. 2019): how little a code moves while its own factor stays.

    M_l: code l's largest deviation from its mean. d_li: mean over the values of factor i (binned first) of the
    `quantile` of code l's deviation from its mean at that value. The score is the mean over codes of
    max_i (1 - d_li / M_l), weighted by M_l; constant codes are left out.

    Returns:
        irs: in [0, 1]; active: the number of codes that vary.
    """
    z, factors = _codes(z, factors, "z", "factors", learn=True)
    z = z[:, np.ptp(z, axis=0) > 0]
    largest = np.abs(z - z.mean(axis=0)).max(axis=0)
    robust = irs_matrix(z, factors, quantile=quantile, bins=bins).max(axis=1)
    return {"irs": float(np.average(robust, weights=largest)), "active": float(z.shape[1])}


def irs_matrix(z: Any, factors: Any, *, quantile: float = 0.99, bins: int = 20) -> Floats:
    """1 - d_li / M_l of each code that varies and each factor, as in `irs`."""
    if not 0 <= quantile <= 1:
        raise ValueError(f"quantile must be in [0, 1], got {quantile}")
    z, factors = _codes(z, factors, "z", "factors", learn=True)
    z = z[:, np.ptp(z, axis=0) > 0]
    largest = np.abs(z - z.mean(axis=0)).max(axis=0)
    result = np.zeros((z.shape[1], factors.shape[1]))
    for j, column in enumerate(discretize(factors, bins=bins).T):
        groups = [z[column == value] for value in np.unique(column)]
        moved = [np.quantile(np.abs(group - group.mean(axis=0)), quantile, axis=0) for group in groups]
        result[:, j] = 1 - np.mean(moved, axis=0) / largest
    return result


def factor_vae(
    local_variances_z: Any,
    factor_index: Any,
    global_variances: Any,
    *,
    eval_local_variances_z: Any = None,
    eval_factor_index: Any = None,
    prune_threshold: float = 0.05,
) -> dict[str, float]:
    """FactorVAE score (Kim & Mnih 2018, section 4): the code that moves least names the factor that was fixed.

    A vote is the active code with the smallest local / global variance. Each code stands for the factor it voted for
    most often (the lowest on ties; a code without votes for factor 0); the score is the accuracy of that.
    `sample_votes` draws the arrays from codes and their factors.

    Args:
        local_variances_z: [V, D], a vote's variance of each code over a batch with one factor fixed (ddof 1).
        factor_index: int [V], the factor that was fixed, from 0.
        global_variances: [D], over the whole data (ddof 1).
        eval_local_variances_z: [W, D], of the votes to evaluate on.
        eval_factor_index: int [W].
        prune_threshold: a code is active if its global standard deviation is at least this.

    Returns:
        train_accuracy, eval_accuracy (only if votes for it are given): in [0, 1]; active: the number of active codes.
    """
    spread, factor = _votes(local_variances_z, factor_index, "local_variances_z", "factor_index")
    overall = real(global_variances, "global_variances").astype(np.float64)
    if overall.shape != spread.shape[1:]:
        raise ValueError(f"global_variances has shape {overall.shape} but local_variances_z {spread.shape}")
    active = (np.sqrt(overall) >= prune_threshold) & (overall > 0)
    if not active.any():
        raise MetricUndefined(f"no code has a standard deviation of {prune_threshold} or more")
    votes = factor_vae_votes(spread[:, active], overall[active])
    table = np.zeros((factor.max() + 1, active.sum()), dtype=np.int64)
    np.add.at(table, (factor, votes), 1)
    names = table.argmax(axis=0)
    scores = {"train_accuracy": float((names[votes] == factor).mean()), "active": float(active.sum())}
    if eval_local_variances_z is not None:
        name = "eval_local_variances_z"
        spread, factor = _votes(eval_local_variances_z, eval_factor_index, name, "eval_factor_index")
        if spread.shape[1:] != overall.shape:
            raise ValueError(f"global_variances has shape {overall.shape} but {name} {spread.shape}")
        votes = factor_vae_votes(spread[:, active], overall[active])
        scores["eval_accuracy"] = float((names[votes] == factor).mean())
    return scores


def factor_vae_votes(local_variances_z: Floats, global_variances: Floats) -> Ints:
    """Index [V] of the code with the smallest local / global variance (the lowest on ties)."""
    return np.argmin(local_variances_z / global_variances, axis=1)


def beta_vae(
    pairs_z: Any, factor_index: Any, *, eval_pairs_z: Any = None, eval_factor_index: Any = None, seed: int = 0
) -> dict[str, float]:
    """beta-VAE score (Higgins et al. 2017, appendix A.4): which factor do pairs of images share?

    Logistic regression (scikit-learn's defaults, 100 iterations, features not standardised) from the mean absolute
    difference of a batch of pairs to the factor they share. `sample_pairs` draws the points from codes and factors.

    Args:
        pairs_z: [P, 2, L, D], P points of L pairs of codes, or [P, D], their mean absolute differences.
        factor_index: int [P].
        eval_pairs_z: points to evaluate on, either shape.
        eval_factor_index: their factors.
        seed: of the regression.

    Returns:
        train_accuracy, eval_accuracy (only if points for it are given): in [0, 1].
    """
    x, y = _votes(_differences(pairs_z, "pairs_z"), factor_index, "pairs_z", "factor_index")
    if len(np.unique(y)) < 2:
        raise MetricUndefined(f"beta-VAE needs two factors or more, all points share factor {y[0]}")
    with threadpool_limits(1):
        model = LogisticRegression(random_state=seed).fit(x, y)
        scores = {"train_accuracy": float(model.score(x, y))}
        if eval_pairs_z is not None:
            differences = _differences(eval_pairs_z, "eval_pairs_z")
            eval_x, eval_y = _votes(differences, eval_factor_index, "eval_pairs_z", "eval_factor_index")
            same_width(x, "pairs_z", eval_x, "eval_pairs_z")
            scores["eval_accuracy"] = float(model.score(eval_x, eval_y))
    return scores


def sample_votes(
    z: Any, factors: Any, *, num_votes: int = 10_000, batch_size: int = 64, seed: int = 0
) -> tuple[Floats, Ints]:
    """Draw FactorVAE votes from the codes [N, D] of images and their factors [N, F].

    A vote takes a factor and an image, both at random, and `batch_size` images (with replacement) of that image's
    value of the factor. Returns the codes' variances [num_votes, D] (ddof 1) and the factors [num_votes].
    """
    z, factors = _codes(z, factors, "z", "factors", learn=False)
    if batch_size < 2:
        raise ValueError(f"batch_size must be at least 2, got {batch_size}")
    rng = np.random.default_rng(seed)
    factor = rng.integers(factors.shape[1], size=num_votes)
    anchor = rng.integers(len(z), size=num_votes)
    rows = _sharing(factors, factor, np.repeat(anchor[:, None], batch_size, axis=1), rng)
    spread = np.zeros((num_votes, z.shape[1]))
    step = max(1, CODES // (batch_size * z.shape[1]))
    for start in range(0, num_votes, step):
        spread[start : start + step] = z[rows[start : start + step]].var(axis=1, ddof=1)
    return spread, factor


def sample_pairs(
    z: Any, factors: Any, *, num_points: int = 10_000, batch_size: int = 64, seed: int = 0
) -> tuple[Floats, Ints]:
    """Draw beta-VAE points from the codes [N, D] of images and their factors [N, F].

    A point takes a factor and `batch_size` images at random, and for each another with the same value of the factor.
    Returns mean absolute differences of the codes [num_points, D], ready for `beta_vae`, and the factors [num_points].
    """
    z, factors = _codes(z, factors, "z", "factors", learn=False)
    rng = np.random.default_rng(seed)
    factor = rng.integers(factors.shape[1], size=num_points)
    first = rng.integers(len(z), size=(num_points, batch_size))
    second = _sharing(factors, factor, first, rng)
    points = np.zeros((num_points, z.shape[1]))
    step = max(1, CODES // (2 * batch_size * z.shape[1]))
    for start in range(0, num_points, step):
        part = slice(start, start + step)
        points[part] = np.abs(z[first[part]] - z[second[part]]).mean(axis=1)
    return points, factor


def _sharing(factors: Ints, factor: Ints, rows: Ints, rng: np.random.Generator) -> Ints:
    """For each of rows [P, L] another row (perhaps itself) with the same value of its line's factor [P]."""
    result = np.zeros_like(rows)
    for j in range(factors.shape[1]):
        _, group, counts = np.unique(factors[:, j], return_inverse=True, return_counts=True)
        order = np.argsort(group, kind="stable")
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        chosen = group[rows[factor == j]]
        result[factor == j] = order[first[chosen] + rng.integers(counts[chosen])]
    return result


def _codes(z: Any, factors: Any, z_name: str, factors_name: str, *, learn: bool) -> tuple[Floats, Ints]:
    """Check codes and factors; those to `learn` from must vary."""
    codes = matrix(z, z_name).astype(np.float64)
    values = integers(factors, factors_name)
    if values.ndim != 2 or len(values) != len(codes):
        raise ValueError(f"{factors_name} has shape {values.shape} but {z_name} {codes.shape}: [N, F] and [N, D]")
    if values.shape[1] == 0:
        raise MetricUndefined(f"{factors_name} has no factor: shape {values.shape}")
    if learn:
        if not (np.ptp(codes, axis=0) > 0).any():
            raise MetricUndefined(f"none of the {codes.shape[1]} codes of {z_name} varies")
        constant = np.flatnonzero(np.ptp(values, axis=0) == 0)
        if len(constant):
            raise MetricUndefined(f"{factors_name} has a single value of factor {constant[0]}")
    return codes, values


def _split(train_z: Any, train_factors: Any, test_z: Any, test_factors: Any) -> tuple[Floats, Ints, Floats, Ints]:
    train_z, train_factors = _codes(train_z, train_factors, "train_z", "train_factors", learn=True)
    test_z, test_factors = _codes(test_z, test_factors, "test_z", "test_factors", learn=False)
    same_width(train_z, "train_z", test_z, "test_z")
    same_width(train_factors, "train_factors", test_factors, "test_factors")
    return train_z, train_factors, test_z, test_factors


def _at_least_two(array: Floats | Ints, what: str) -> None:
    if array.shape[1] < 2:
        raise MetricUndefined(f"this metric compares {what}, and there is only one")


def _votes(x: Any, y: Any, x_name: str, y_name: str) -> tuple[Floats, Ints]:
    points, factor = matrix(x, x_name).astype(np.float64), integers(y, y_name)
    if factor.shape != points.shape[:1]:
        raise ValueError(f"{y_name} has shape {factor.shape} but {x_name} {points.shape}: one factor a row is needed")
    if factor.min() < 0:
        raise ValueError(f"{y_name} holds {factor.min()}; factors count from 0")
    return points, factor


def _differences(pairs: Any, name: str) -> Floats:
    array = real(pairs, name).astype(np.float64)
    if array.ndim == 4 and array.shape[1] == 2:
        return np.abs(array[:, 0] - array[:, 1]).mean(axis=1)
    if array.ndim == 2:
        return array
    raise ValueError(f"{name} must have shape [P, 2, L, D] or [P, D], got {array.shape}")
