"""How many topics, and with which inhibition? GridSearchCV answers by coherence on held-out documents."""

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from codebooks import KrotovHopfield
from codebooks.datasets import load_docstrings
from codebooks.scores import npmi_scorer

documents = load_docstrings().documents[::6]
pipeline = Pipeline(
    [
        ("tfidf", TfidfVectorizer(stop_words="english", min_df=5, max_df=0.5, sublinear_tf=True)),
        ("units", KrotovHopfield(random_state=0)),
    ]
)
grid = {"units__n_components": [5, 10, 20, 40], "units__inhibition": ["mean", None]}
search = GridSearchCV(pipeline, grid, scoring=npmi_scorer, cv=3, n_jobs=2)
search.fit(documents)

print("units  inhibition  score on held-out documents")
results = search.cv_results_
for setting, score in zip(results["params"], results["mean_test_score"], strict=True):
    print(f"{setting['units__n_components']:5d}  {setting['units__inhibition']!s:10s}  {score:.3f}")
print("\nbest:", search.best_params_)
