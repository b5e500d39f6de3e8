"""Pictures of a run, drawn while its network is at hand."""
