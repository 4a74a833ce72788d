"""The Acme LS8: labonn's behaviour suite, and the examples of its manual."""

from labonn_acme.emulator import AcmeLs8Firmware

from labonn.testing import DriverBehaviour


class TestAcmeLs8(DriverBehaviour):
    driver = "acme_ls8"


def test_the_examples_of_the_manual() -> None:
    source = AcmeLs8Firmware(serial=1042)
    assert source.feed(b"ID\nMAX\n") == b"OK ACME LS8 1042\nOK 200.000\n"
    assert source.feed(b"CUR 1.5,0,0,0,0,0,0,250\n") == b"ERR 3 over limit\n"
    assert source.feed(b"CUR 1.5,0,0,0,0,0,0,25\nOUT 1\n") == b"OK 1.500,0.000,0.000,0.000,0.000,0.000,0.000,25.000\nOK 1\n"
    assert source.currents_a.tolist() == [0.0015, 0, 0, 0, 0, 0, 0, 0.025]
