# make demo   from a bare machine to live masks      make test   everything CI runs
PYTHON ?= python3
BIN := .venv/bin
# Nothing of ours appears on the network; the ament index of .venv comes in front of a sourced ROS, if there is one.
ROS := ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST AMENT_PREFIX_PATH="$(CURDIR)/.venv$(if $(AMENT_PREFIX_PATH),:$(AMENT_PREFIX_PATH))"
.DEFAULT_GOAL := help
DATA ?= ../shared/data
.PHONY: help setup demo lint test bench bench-train clean

help:
	@echo "make demo [DRIVE=bag-or-folder] [TOPIC=images]     replay a drive through the node; results in out/demo"
	@echo "          [MODEL=artifact]"
	@echo "make setup                                         only install what the demo needs into .venv"
	@echo "make test                                          checks and tests, as CI runs them"
	@echo "make lint                                          only the checks: ruff, mypy, import rules"
	@echo "make bench [CHECK=1] [ARGS=...]                    how fast everything is, as ratios; CHECK: fail if a bar is missed"
	@echo "make bench-train [DATA=folder]                     what training costs and reaches, an hour and a half on two cores"
	@echo "make clean                                         remove .venv, .venv-jazzy and everything built"

setup:
	@$(PYTHON) scripts/bootstrap.py runtime

demo: setup
	@$(ROS) $(BIN)/desert-seg-demo $(if $(DRIVE),--drive "$(DRIVE)") $(if $(TOPIC),--topic "$(TOPIC)") \
		$(if $(MODEL),--model "$(MODEL)")

lint:
	@$(PYTHON) scripts/bootstrap.py dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The node's own tests once more on an older ROS, from wheels, whatever is sourced.
JAZZY := env -u PYTHONPATH -u LD_LIBRARY_PATH -u ROS_DISTRO -u _ROS_WHEELS_BOOTSTRAP_COMPLETE \
	ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST AMENT_PREFIX_PATH="$(CURDIR)/.venv-jazzy"
NODE := $(addprefix test/test_,node.py node_outputs.py node_parts.py messages.py consumer_contracts.py under_fire.py replay.py interop.py)
# Training, and the tutorial, get processes of their own: after a whole suite of DDS and inference engines in one process,
# starting another process from it has crashed.
TRAINING := test/test_adaptation.py test/test_training.py test/test_training_data.py
test: lint
	$(ROS) $(BIN)/python -m pytest $(addprefix --ignore=,$(TRAINING) test/test_tutorial.py)
	$(ROS) $(BIN)/python -m pytest $(TRAINING)
	$(ROS) $(BIN)/python -m pytest test/test_tutorial.py
	@$(PYTHON) scripts/bootstrap.py jazzy
	$(JAZZY) .venv-jazzy/bin/python -m pytest $(NODE)

bench:
	@$(PYTHON) scripts/bootstrap.py dev
	@$(ROS) $(BIN)/python -m speed $(if $(CHECK),--check) $(ARGS)

bench-train:
	@$(PYTHON) scripts/bootstrap.py dev
	$(BIN)/python -m desert_seg_train.train.cost --full --train $(DATA)/falcon/train --validation $(DATA)/falcon/val \
		--encoder-weights $(DATA)/weights/tf_efficientnet_lite0_imagenet.safetensors

clean:
	rm -rf .venv .venv-jazzy build install log out .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
