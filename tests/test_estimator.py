"""The scikit-learn estimators under scikit-learn's own checks."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from trainwell.estimator import TrainwellClassifier, TrainwellRegressor

QUICK = ["train.epochs=12", "train.evaluations=4", "model.members=5", "model.width=64"]

# Checks that are expected to fail, each with its reason.
EXPECTED: dict[str, str] = {}


@parametrize_with_checks(
    [TrainwellClassifier(changes=QUICK), TrainwellRegressor(changes=QUICK)],
    expected_failed_checks=lambda estimator: EXPECTED,
)
def test_scikit_learn(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]
