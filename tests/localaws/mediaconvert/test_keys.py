"""Keys are asked for by SPEKE v2, signed, over TLS or loopback, and stay silent."""

from __future__ import annotations

import threading
from dataclasses import replace

import mediaconvert_jobs as jobs
import pytest
from conftest import Speke  # type: ignore[attr-defined]

from localaws.config import Config
from localaws.mediaconvert import request
from localaws.mediaconvert.failures import JobCanceled, JobError
from localaws.mediaconvert.keys import KeyProvider, key_id
from localaws.mediaconvert.packaging import Encryption
from penstock.formats import cpix

CLEARKEY = "e2719d58-a985-b3c9-781a-b030af78d30e"
