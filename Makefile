# `make run` and `make test` are all a newcomer needs. Everything lands in .venv and .undervolt of this checkout.
# ARGS go to pytest, the bench or the evaluation: make test ARGS='-k near'. Settings are environment variables: UNDERVOLT_PORT=8001 make run
NEWCOMER = python=$$(sh scripts/find_python.sh) && exec "$$python" -m scripts.newcomer
RESOLVE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url
LOCK = $(RESOLVE) pyproject.toml

.PHONY: run test test-system check bench bench-ingest eval stop clean lock

run:  ## make everything ready and serve on http://127.0.0.1:8000
	@$(NEWCOMER) run

test:  ## make everything ready and run the tests
	@$(NEWCOMER) test $(ARGS)

test-system:  ## the tests that start real servers and models; minutes
	@$(NEWCOMER) test-system $(ARGS)

check:  ## format, lint, types, and who imports whom
	@$(NEWCOMER) check

bench:  ## the service under load beside its limits, on 2.34 million synthetic rows made once; half an hour
	@$(NEWCOMER) bench $(ARGS)

bench-ingest:  ## how fast a first load and a week's delta are, and their floors; some twenty minutes
	@$(NEWCOMER) bench-ingest $(ARGS)

eval:  ## how well questions are understood, answered and told, on the sample register; a minute
	@$(NEWCOMER) eval $(ARGS)

stop:  ## end the service and its private database
	@$(NEWCOMER) stop

clean:  ## remove what was made here, the private database included
	@$(NEWCOMER) clean

lock:  ## resolve the requirements anew (needs uv)
	$(LOCK) -o requirements.txt
	$(LOCK) --extra dev -c requirements.txt -o requirements-dev.txt
	$(LOCK) --extra embedded -c requirements.txt -o requirements-embedded.txt
	echo 'litellm[proxy]==1.106.2' | $(RESOLVE) - -o deploy/requirements-litellm.txt
