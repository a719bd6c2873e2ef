# Debian with Node.js 20 or later and npm is enough to start from: `make setup` brings the rest.
.DEFAULT_GOAL := help
.PHONY: help setup demo test long matrix faults soak kills fuzz bench scale services services-failover deb libvirt cluster clean

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

setup: ## Install what is missing, compile, build the guest
	@scripts/setup.sh

demo: setup ## Protect a VM, kill its host, watch it run on
	@node packages/lab/dist/demo/main.js $(if $(ENGINE),--engine $(ENGINE))

test: setup ## Lint, type check and run all tests
	@node scripts/run-tests.mjs

long: setup ## Run the end-to-end tests that CI has no time for (14 minutes)
	@npm run --silent jest -- --selectProjects e2e-long --runInBand

bench: setup ## Measure everything beside its rivals, rewrite docs/explanation/performance.md (as root, 30 minutes)
	@node bench/dist/main.js

services: setup ## Measure six real services, rewrite docs/explanation/services.md (as root, 70 minutes; SERVICES=B9 ROUNDS=N)
	@node bench/dist/main.js $(or $(SERVICES),B9 B9B B9C) $(if $(ROUNDS),--rounds $(ROUNDS))

services-failover: setup ## Kill the host of each service under load, let the service check its data (as root; KILLS=N)
	@node bench/dist/services-failover.js --kills $${KILLS:-10}

matrix: setup ## Run the tests with other versions of QEMU too (an hour and a half; SINCE=2026-11-30 resumes)
	@node scripts/matrix.mjs $(if $(SINCE),--since '$(SINCE)')

faults: setup ## Run the fault matrix on real QEMU, rewrite docs/explanation/reliability.md (as root, an hour; ONLY=RE SEED=N)
	@node test/faults/dist/main.js $(if $(ONLY),--only '$(ONLY)') $(if $(SEED),--seed $(SEED))

soak: setup ## Hurt and mend a real pair for an hour, watch what the daemons hold (SOAK_MINUTES=N)
	@node test/faults/dist/soak/soak.js --json .cache/soak.json

kills: setup ## Kill a secondary daemon 200 times at bad moments (7 minutes; KILLS=n)
	@node test/robustness/dist/kills/main.js --kills $${KILLS:-200}

fuzz: setup ## Fuzz everything that reads what strangers write (2 minutes; FUZZ_SECONDS=n for each target)
	@NODE_NO_WARNINGS=1 node test/robustness/dist/fuzz/main.js

cluster: setup ## A protected VM under Pacemaker on three nodes in namespaces, hurt and measured (as root, 10 minutes; ONLY=RE)
	@node test/cluster/main.mjs $(if $(ONLY),--only '$(ONLY)')

scale: setup ## Simulate a thousand hosts, rewrite the figures of docs/explanation/scale.md (a minute)
	@node test/simulation/dist/scale/main.js --write

deb: setup ## Build the Debian package, install and upgrade it in a clean Debian 13 and 12 (as root)
	@scripts/test-deb.sh "$$(node scripts/build-deb.mjs .cache/deb)"

libvirt: setup ## Protect a domain under Debian's libvirtd, destroy it, take over (as root, downloads 6 MB)
	@scripts/test-libvirt.sh

clean: ## Remove what was compiled and built; packages stay
	rm -rf packages/*/dist bench/dist test/*/dist .cache coverage
