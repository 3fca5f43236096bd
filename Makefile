# make demo   from a bare machine to live masks      make test   everything CI runs
PYTHON ?= python3
BIN := .venv/bin
# Nothing of ours appears on the network; the ament index of .venv comes in front of a sourced ROS, if there is one.
ROS := ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST AMENT_PREFIX_PATH="$(CURDIR)/.venv$(if $(AMENT_PREFIX_PATH),:$(AMENT_PREFIX_PATH))"
.DEFAULT_GOAL := help
DATA ?= ../shared/data
.PHONY: help setup demo lint test test-kilted test-jazzy test-pythons soak bench bench-train gpu docs release-check lock audit clean

help:
	@echo "make demo                         replay a drive through the node"
	@echo "  DRIVE=bag-or-folder TOPIC=images MODEL=artifact"
	@echo "make setup                        only install what the demo needs into .venv"
	@echo "make test                         checks and tests, as CI runs them"
	@echo "make test ARGS=test/test_node.py  only some tests; ARGS is pytest's"
	@echo "make test-pythons [PYTHONS=3.13]  some tests on other Pythons, as far as they are installed"
	@echo "make soak [SOAK_MINUTES=10]       attacks, kills and half an hour of a live node"
	@echo "make lint                         only the checks: ruff, mypy, import rules"
	@echo "make bench [ARGS=...]             how fast everything is, as ratios"
	@echo "make bench CHECK=1                the same; fails if a bar is missed"
	@echo "make bench-train [DATA=folder]    what training costs and reaches, 90 minutes"
	@echo "make gpu [ARGS=...]               what only a GPU can prove; page in out/gpu"
	@echo "make docs                         the documentation as a site, in out/docs"
	@echo "make release-check                wheel and sdist, and the demo from them"
	@echo "make audit                        licences and advisories of what comes from others"
	@echo "make lock                         pin all of that anew, in requirements/"
	@echo "make clean                        remove .venv, out/ and all else that was made here"

setup:
	@$(PYTHON) scripts/bootstrap.py runtime

demo: setup
	@$(ROS) $(BIN)/desert-seg-demo $(if $(DRIVE),--drive "$(DRIVE)") $(if $(TOPIC),--topic "$(TOPIC)") \
		$(if $(MODEL),--model "$(MODEL)")

lint:
	@$(PYTHON) scripts/bootstrap.py dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# The node's own tests once more on an older ROS, from wheels, whatever is sourced. They run beside the others, since
# both mostly wait, and say how they ended.
JAZZY := env -u PYTHONPATH -u LD_LIBRARY_PATH -u ROS_DISTRO -u _ROS_WHEELS_BOOTSTRAP_COMPLETE \
	ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST AMENT_PREFIX_PATH="$(CURDIR)/.venv-jazzy"
NODE := $(addprefix test/test_,node.py node_outputs.py node_parts.py messages.py consumer_contracts.py under_fire.py replay.py interop.py)
ifdef ARGS
test:
	@$(PYTHON) scripts/bootstrap.py dev
	@$(ROS) $(BIN)/python -m pytest $(ARGS)
else
test:
	@$(PYTHON) scripts/bootstrap.py dev
	@$(MAKE) --no-print-directory -j2 test-kilted test-jazzy
endif

test-kilted: lint
	$(ROS) $(BIN)/python -m pytest --numprocesses 3

test-jazzy:
	@$(PYTHON) scripts/bootstrap.py jazzy
	@mkdir -p out
	@$(JAZZY) .venv-jazzy/bin/python -m pytest $(NODE) >out/test-jazzy.log 2>&1 || (cat out/test-jazzy.log; exit 1)
	@echo "on jazzy: $$(tail -n 1 out/test-jazzy.log)"

# What does not need torch, on other Pythons: files, images, bags, classes, and the node over DDS.
PYTHONS ?= 3.10 3.12 3.13
ELSEWHERE := $(addprefix test/test_,images.py labels.py image_codec.py bag.py drive.py yaml_file.py cli.py doctor.py \
	messages.py node_parts.py node.py)
test-pythons:
	@mkdir -p out
	@for version in $(PYTHONS); do \
		python$$version -c "import ensurepip" 2>/dev/null \
			|| { echo "on Python $$version: there is no python$$version that runs and has ensurepip"; continue; }; \
		python$$version scripts/bootstrap.py node || exit 1; \
		env -u PYTHONPATH -u LD_LIBRARY_PATH -u ROS_DISTRO -u _ROS_WHEELS_BOOTSTRAP_COMPLETE \
			ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST AMENT_PREFIX_PATH="$(CURDIR)/.venv-$$version" \
			.venv-$$version/bin/python -m pytest $(if $(ARGS),$(ARGS),$(ELSEWHERE)) >out/test-python$$version.log 2>&1 \
			|| { cat out/test-python$$version.log; exit 1; }; \
		echo "on Python $$version: $$(tail -n 1 out/test-python$$version.log)"; \
	done

# What takes longer than a test may; ends with how many attacks, kills and minutes that were. SOAK_MINUTES=10 shortens
# the half hour of a live node.
soak:
	@$(PYTHON) scripts/bootstrap.py dev
	$(ROS) $(BIN)/python -m pytest -m soak --durations=0 $(ARGS)

bench:
	@$(PYTHON) scripts/bootstrap.py dev
	@$(ROS) $(BIN)/python -m speed $(if $(CHECK),--check) $(ARGS)

bench-train:
	@$(PYTHON) scripts/bootstrap.py dev
	$(BIN)/python -m desert_seg_train.train.cost --full --train $(DATA)/falcon/train --validation $(DATA)/falcon/val \
		--encoder-weights $(DATA)/weights/tf_efficientnet_lite0_imagenet.safetensors

gpu:
	@$(PYTHON) scripts/bootstrap.py dev
	@$(ROS) $(BIN)/python -m speed.gpu $(ARGS)

docs:
	@$(PYTHON) scripts/bootstrap.py dev
	@$(BIN)/python scripts/reference.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "open out/docs/index.html"

release-check:
	@$(PYTHON) scripts/bootstrap.py dev
	@$(BIN)/python scripts/release_check.py

lock:
	@$(PYTHON) scripts/audit.py lock

audit:
	@$(PYTHON) scripts/bootstrap.py dev
	@$(PYTHON) scripts/audit.py

clean:
	rm -rf .venv .venv-jazzy .venv-3.* .venv-audit build install log out .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
