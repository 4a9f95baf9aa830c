"""
GridSearchCV over a pipeline
============================

Every learner has a method `score` that works on samples that were held out, so scikit-learn's `GridSearchCV` can choose
settings. `python examples/grid_search.py picture.png` also saves the figure.
"""

# %%
# :class:`~codebooks.MultinomialMixture` scores by the mean log likelihood per word. Documents that were held out become
# less likely when there are too many topics. `scoring=codebooks.metrics.npmi_scorer` compares by coherence instead; use
# it for long documents.

import sys

from matplotlib.figure import Figure
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from codebooks import MultinomialMixture
from codebooks.datasets import load_glosses

pipeline = Pipeline(
    [
        ("tfidf", TfidfVectorizer(stop_words="english", min_df=5, max_df=0.5, sublinear_tf=True)),
        ("topics", MultinomialMixture(random_state=0)),
    ]
)
sizes = [5, 10, 15, 20, 30]
search = GridSearchCV(pipeline, {"topics__n_components": sizes}, cv=3)
search.fit(load_glosses().documents)

print("topics  log likelihood per word")
for size, score in zip(sizes, search.cv_results_["mean_test_score"], strict=True):
    print(f"{size:6d}  {score:.3f}")
print("best:", search.best_params_)

# %%
# Draw the mean and the standard deviation over the three folds.

figure = Figure(figsize=(6, 3.5), layout="constrained")
axes = figure.subplots()
axes.errorbar(sizes, search.cv_results_["mean_test_score"], search.cv_results_["std_test_score"], marker="o", capsize=3)
axes.set(xlabel="number of topics", ylabel="log likelihood per word")
if len(sys.argv) > 1:
    figure.savefig(sys.argv[1])
