"""You liked these functions: which others share their concepts?"""

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from codebooks import KrotovHopfield, suggest
from codebooks.datasets import load_docstrings

corpus = load_docstrings()
pipeline = make_pipeline(
    TfidfVectorizer(stop_words="english", min_df=5, max_df=0.5, sublinear_tf=True, token_pattern=r"[a-z]{3,}"),
    KrotovHopfield(60, random_state=0),
)
codes = pipeline.fit_transform(corpus.documents)  # 60 numbers a document: all that suggest needs
row_of = {name: row for row, name in enumerate(corpus.ids)}


def show(liked, disliked=()):
    rows, scores = suggest(
        codes, [row_of[name] for name in liked], n_suggestions=5, disliked=[row_of[name] for name in disliked]
    )
    print("\nYou like", " and ".join(liked) + (f", but not {' and '.join(disliked)}" if disliked else ""))
    for row, score in zip(rows, scores, strict=True):
        print(f"    {score:.2f}  {corpus.ids[row]}")


print(f"{len(corpus.documents)} docstrings, as {codes.shape[1]} concepts each")
show(["sklearn.cluster.KMeans"])
show(["sklearn.cluster.DBSCAN", "scipy.cluster.hierarchy.ward"])
show(["matplotlib.axes.Axes.contour", "scipy.interpolate.griddata"])
show(["numpy.polynomial.chebyshev.chebfit", "scipy.interpolate.CubicSpline"])
show(["scipy.stats.ttest_ind"])
show(["numpy.linalg.eigh", "scipy.sparse.csr_array"])
show(["numpy.linalg.eigh", "scipy.sparse.csr_array"], ["scipy.sparse.bsr_array", "scipy.sparse.coo_array"])
