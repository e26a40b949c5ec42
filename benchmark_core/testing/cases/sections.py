"""The first sentence of every section of docs/contracts.md, which messages quote: an installed robex comes
without the page."""

PAGE = "docs/contracts.md"

#: anchor -> sentence; a test compares them with the page.
SECTIONS: dict[str, str] = {
    "loading": (
        "A plugin's module registers methods and does nothing else: no torch, pandas, scipy or "
        "scikit-learn, so that `robex list`, `validate` and `plan` stay fast."
    ),
    "what-a-spec-says": (
        "A spec says what its method is and where it comes from, and can be sent to other processes."
    ),
    "params": (
        "Defaults are values that their types allow, and every value can be written into a key: numbers, "
        "text, booleans, lists of them, methods."
    ),
    "the-target": (
        '`target="package.module:Class"` names a class that inherits from the base of its kind, has no '
        "abstract method left, is made with its params alone and keeps them as `self.params`."
    ),
    "it-runs": (
        "A method runs on CPU, on every kind of input that `accepts` names and `unfit` does not refuse; "
        "metrics measure every type they consume, of attacks with and without targets."
    ),
    "the-form-of-a-result": (
        "Results are finite and detached, have the shape and dtype of `x`, also in float64 and for no "
        "samples, and notes have one value a sample."
    ),
    "leave-things-as-they-were": (
        "A call changes nothing but what it returns: not its inputs, the model, global generators, or "
        "settings of the process."
    ),
    "the-same-seed-the-same-result": (
        "Called twice with one seed, a method gives the same numbers: all randomness comes from "
        "`ctx.random` (per sample) or `ctx.generator` (per call)."
    ),
    "samples-not-batches": (
        "The result of a sample is the same alone, in another order, among other samples, and for every "
        "`ctx.batch_size`, to float tolerance (1e-6 in float64)."
    ),
    "training-data": (
        "What is built, trained or prepared does not depend on the test set: other `x_test` and `y_test` "
        "give the same weights and tensors."
    ),
    "progress": "`ctx.progress(done, total)` takes whole numbers with 0 <= done <= total.",
    "passes-are-counted": (
        "Every pass goes through `model(x)` or `model.features(x)` of the model that the method is "
        "given, not through a network inside it."
    ),
    "the-box": (
        "Perturbed inputs, counterfactuals and images lie in `[task.lower, task.upper]`, feature by "
        "feature: it need not be [0, 1]."
    ),
    "the-ball": (
        "If params have `eps`, and params or spec a `norm`, then ||x_adv - x|| <= eps in that norm, for "
        "every goal."
    ),
    "immutable-features": (
        "A counterfactual changes no feature that is not `task.mutable`, not even by rounding."
    ),
    "models-without-a-gradient": (
        "On a model whose gradients are exactly zero, a method returns something finite inside its "
        "limits: divide by norms with care."
    ),
    "goals": (
        "Only an attack that declares `early_exit=True` may act on `ctx.goal`, and then fools every "
        "sample that it fools otherwise."
    ),
    "targets": (
        "With `targeted=True`, and always for counterfactuals, samples are moved towards `ctx.target`: a "
        "class becomes more likely where one aims at it than where one aims at another."
    ),
    "success": "Success is what a fresh prediction on the result says.",
    "scores": (
        'Scores are one number a sample, or one in all with `scores="set"`, inside `range` and never NaN.'
    ),
    "tasks": (
        "A task has float32 inputs, finite, inside the box, of the kind that `input` says; int64 labels "
        "0..K-1, each class present in both sets; `lower`, `upper` and `mutable` of the shape of a "
        "sample; `std` > 0; `mean` and `std` those of the training inputs; names for tabular features."
    ),
    "networks": (
        "A model gives finite logits (n, K) by `model(x)`, its penultimate layer (n, F) by "
        "`model.features(x)`, and gradients at input and weights, and lives in its `state_dict`; a "
        "defense returns it trained."
    ),
    "states": (
        "States are mappings of names to tensors, without NaN; what is stored is tensors, and beside "
        "them plain text, numbers and lists."
    ),
}
