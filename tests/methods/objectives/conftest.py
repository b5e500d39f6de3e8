"""One thread: these tensors are small, and the threads' hand-over would cost more than the work."""

import torch

torch.set_num_threads(1)
