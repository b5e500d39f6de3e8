"""Encoders on the Hugging Face Hub: a repository that holds one file of weights of this suite."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from disentangle_bench.methods.pretrained.note import read_note

NAME = "encoder.safetensors"


def push_to_hub(path: str | Path, repo: str, *, private: bool = False) -> str:
    """Upload a run's file of weights to a repository of the Hub, which is made if there is none.

    `bench eval --encoder hf:REPO` takes it from there. Needs a token (`hf auth login`).

    Args:
        path: `encoder.safetensors` or `method.safetensors` of a run.
        repo: `owner/name`.
        private: whether only its owner sees it.

    Returns:
        The address of the commit.

    Raises:
        BadFile: (a ValueError) the file is none of this suite's; nothing is uploaded then.
    """
    note, api = read_note(Path(path)), HfApi()
    api.create_repo(repo, private=private, exist_ok=True)
    message = f"{note.method} on {note.dataset}, {note.step} steps"
    return str(api.upload_file(path_or_fileobj=path, path_in_repo=NAME, repo_id=repo, commit_message=message))


def download(repo: str, *, offline: bool = False) -> Path | None:
    """The file that `push_to_hub` has put into a repository, on disk; None if the repository has no such file.

    Args:
        repo: `owner/name`.
        offline: only look at what was downloaded before.

    Raises:
        OSError: it is not on disk and can't be downloaded, or there is no such repository.
    """
    try:
        return Path(hf_hub_download(repo, NAME, local_files_only=offline))
    except LocalEntryNotFoundError as error:
        raise OSError(str(error)) from error
    except EntryNotFoundError:
        return None
