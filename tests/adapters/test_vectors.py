"""Every adapter passes its vectors."""

from openalgo_ws.conformance import run_case


def test_every_adapter_has_vectors_and_every_file_an_adapter(adapters, vector_files):
    assert vector_files == set(adapters)


def test_vector(subject_and_case):
    subject, case = subject_and_case
    assert run_case(subject.adapter, case).problems == ()
