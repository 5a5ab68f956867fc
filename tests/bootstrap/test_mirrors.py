"""pip's settings reach uv, and uv's own settings win."""

from __future__ import annotations

from pathlib import Path

from promotions.bootstrap.mirrors import pip_settings, uv_environment


def in_config(home: Path, text: str) -> dict[str, str]:
    path = home / ".config" / "pip" / "pip.conf"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return {"HOME": str(home)}


def test_a_mirror_in_pip_conf_becomes_uv_s_default_index(tmp_path: Path) -> None:
    environ = in_config(tmp_path, "[global]\nindex-url = https://mirror.example/simple\n")
    assert uv_environment(environ)["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"


def test_a_variable_of_pip_wins_over_its_file(tmp_path: Path) -> None:
    environ = in_config(tmp_path, "[global]\nindex-url = https://file.example/simple\n")
    environ["PIP_INDEX_URL"] = "https://variable.example/simple"
    assert uv_environment(environ)["UV_DEFAULT_INDEX"] == "https://variable.example/simple"


def test_the_install_section_counts_too_and_underscores_are_dashes(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nextra_index_url = a\n[install]\nindex-url = b\n")
    assert pip_settings({}, [file]) == {"extra-index-url": "a", "index-url": "b"}


def test_settings_of_uv_are_left_alone(tmp_path: Path) -> None:
    environ = in_config(tmp_path, "[global]\nindex-url = https://pip.example/simple\n")
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        result = uv_environment({**environ, name: "https://uv.example/simple"})
        assert result[name] == "https://uv.example/simple"
        assert "https://pip.example/simple" not in result.values()


def test_several_folders_of_wheels_are_separated_as_uv_wants_them(tmp_path: Path) -> None:
    environ = in_config(tmp_path, "[global]\nfind-links =\n    /a\n    /b\n")
    assert uv_environment(environ)["UV_FIND_LINKS"] == "/a,/b"


def test_a_private_certificate_is_trusted_by_uv_too(tmp_path: Path) -> None:
    environ = {**in_config(tmp_path, ""), "PIP_CERT": "/etc/company.pem"}
    assert uv_environment(environ)["SSL_CERT_FILE"] == "/etc/company.pem"


def test_files_are_ignored_when_pip_is_told_to(tmp_path: Path) -> None:
    environ = in_config(tmp_path, "[global]\nindex-url = https://mirror.example/simple\n")
    assert "UV_DEFAULT_INDEX" not in uv_environment({**environ, "PIP_CONFIG_FILE": "/dev/null"})


def test_a_file_that_is_not_a_configuration_is_left_to_pip(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("no section here\n")
    assert pip_settings({}, [file]) == {}
