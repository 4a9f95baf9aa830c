"""How many topics? GridSearchCV answers by coherence on held-out documents."""

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline

from codebooks import KrotovHopfield
from codebooks.datasets import load_docstrings
from codebooks.metrics import npmi_scorer

documents = load_docstrings().documents[::2]
pipeline = Pipeline(
    [
        ("tfidf", TfidfVectorizer(stop_words="english", min_df=5, max_df=0.5, sublinear_tf=True)),
        ("units", KrotovHopfield(random_state=0)),
    ]
)
grid = {"units__n_components": [2, 5, 10, 20]}
# Docstrings are sorted by package: unless folds are shuffled, each is tested on a package that it has not seen.
folds = KFold(3, shuffle=True, random_state=0)
search = GridSearchCV(pipeline, grid, scoring=npmi_scorer, cv=folds, n_jobs=2)
search.fit(documents)

print("units  score on held-out documents")
results = search.cv_results_
for setting, score in zip(results["params"], results["mean_test_score"], strict=True):
    print(f"{setting['units__n_components']:5d}  {score:.3f}")
print("\nbest:", search.best_params_)
