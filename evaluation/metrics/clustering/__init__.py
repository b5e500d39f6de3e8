"""How well groups agree with labels: NMI, ARI, AMI and matched accuracy; k-means on features; silhouette."""

from disentangle_bench.evaluation.metrics.clustering.agreement import chance_nmi, cluster_scores, matched, nmi_terms
from disentangle_bench.evaluation.metrics.clustering.kmeans import kmeans_clusters, kmeans_scores
from disentangle_bench.evaluation.metrics.clustering.silhouette import silhouette

__all__ = ["chance_nmi", "cluster_scores", "kmeans_clusters", "kmeans_scores", "matched", "nmi_terms", "silhouette"]
