"""From splits to batches.

In: a `Split` (images and targets) and how batches are composed. Out: batches as plain dicts of tensors (`image`,
`index`, `target/<name>`) in an order that follows from seed and epoch, and the view of them that a method trains on.
"""
