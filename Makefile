# Relevo's build: plain make, no configure step.
#
#   make            build/relevo                     make asan / tsan   sanitizer builds, tested
#   make run        a relay with everything embedded make tidy          our lint
#   make test       all tests, one summary line      make bench         against Postfix
#   make install    below $(DESTDIR)$(prefix)        make deps          what a fresh Debian lacks
#   make fuzz       every fuzz target, SECONDS each  make reference     docs made from the tables
#   make sim        SEEDS of the simulated world, from FIRST on (TRACE=1 tells all of it)
#   make valgrind   tasks and loop under valgrind        make crash      kill -9 and power cuts, many
#   make aarch64    cross-built, unit tests under qemu   make fuzz-coverage  what the kept corpora reach
#
# Variables: V=1 shows the commands  CC=gcc|clang  O=folder for what is built  SAN=address,undefined|thread  TASKS=switch|ucontext|threads

ifeq ($(origin CC),default)
CC := gcc
endif
O ?= build
prefix ?= /usr/local
SAN ?=
TASKS ?= switch
SECONDS ?= 30
FIRST ?= 1
SEEDS ?= 1000
V ?=
QUIET := $(if $(V),,@)

# The ladder: a folder may use those before it (tools/tidy checks the includes, the linker the rest).
LADDER := base net dns smtp mail config report spool policy filter schedule bounce receive pop verify deliver \
	cluster control web tool run
FOLDERS := $(foreach f,$(LADDER),$(if $(wildcard src/$f/*.c),$f))

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
	-Wimplicit-fallthrough -Werror
HARDENING := -fPIE -fstack-protector-strong -fstack-clash-protection -ftrivial-auto-var-init=zero
DEFINES := -D_GNU_SOURCE -DTASKS_$(TASKS)
OPTIMISE := -O2 -g
ifeq ($(SAN),)
WARNINGS += -Wframe-larger-than=1024
DEFINES += -D_FORTIFY_SOURCE=2
else
OPTIMISE := -O1 -g -fno-omit-frame-pointer -fsanitize=$(SAN) -fno-sanitize-recover=all
endif
ifneq ($(findstring clang,$(CC)),)
WARNINGS += -Wno-gnu-variable-sized-type-not-at-end
ifneq ($(shell $(CC) -dumpversion | cut -d. -f1),$(filter 16 17 18 19 20 21 22,$(shell $(CC) -dumpversion | cut -d. -f1)))
HARDENING += -enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang
endif
endif
CFLAGS := -std=gnu17 $(OPTIMISE) $(WARNINGS) $(HARDENING) $(CFLAGS_EXTRA)
CPPFLAGS := $(DEFINES) -Isrc -include base/banned.h -MMD -MP
LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack -pthread $(if $(SAN),-fsanitize=$(SAN))
LDLIBS := -lssl -lcrypto -lcurl -ljansson -lz -lcrypt -lseccomp -lunbound -levent -lidn2 -lpcre2-8 -lm

sources = $(wildcard src/$1/*.c src/$1/*.S)
objects = $(patsubst src/%,$O/obj/%.o,$(call sources,$1))
archives := $(foreach f,$(FOLDERS),$O/lib$f.a)
# What folder $1's tests link: its archive and those before it on the ladder, last first.
reverse = $(if $1,$(call reverse,$(wordlist 2,$(words $1),$1)) $(firstword $1))
upto = $(if $2,$(firstword $2) $(if $(filter-out $1,$(firstword $2)),$(call upto,$1,$(wordlist 2,$(words $2),$2))))
archives_of = $(foreach f,$(call reverse,$(call upto,$1,$(FOLDERS))),$O/lib$f.a)

all: $O/relevo

archives: $(archives)

$O/relevo: $O/obj/main.c.o $(archives)
	@echo "  link $@"
	$(QUIET)$(CC) $(LDFLAGS) -o $@ $< $(foreach f,$(call reverse,$(FOLDERS)),$O/lib$f.a) $(LDLIBS)

$O/obj/%.c.o: src/%.c Makefile
	@mkdir -p $(@D)
	@echo "  cc   $<"
	$(QUIET)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$O/obj/%.S.o: src/%.S Makefile
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(DEFINES) -Isrc -MMD -MP -g -c -o $@ $<

$O/obj/config/provider_list.S.o: data/providers.conf

define archive_rule
$O/lib$1.a: $(call objects,$1)
	$(QUIET)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call archive_rule,$f)))

# ---- tests: tests/unit/FOLDER/NAME.c becomes $O/unit/FOLDER/NAME
UNIT_SOURCES := $(foreach f,$(FOLDERS),$(wildcard tests/unit/$f/*.c))
UNITS := $(patsubst tests/unit/%.c,$O/unit/%,$(UNIT_SOURCES))
define unit_rule
$O/unit/$1/%: tests/unit/$1/%.c $(call archives_of,$1)
	@mkdir -p $$(@D)
	@echo "  test $$@"
	$$(QUIET)$$(CC) $$(CPPFLAGS) $$(CFLAGS) -Wno-missing-prototypes -Wno-frame-larger-than -Itests -MF $$@.d $$(LDFLAGS) -o $$@ $$< $(call archives_of,$1) -lcmocka $$(LDLIBS)
endef
$(foreach f,$(FOLDERS),$(eval $(call unit_rule,$f)))

units: $(UNITS)

test: deps
	+tests/run --jobs 2

run: deps
	+$(MAKE) --no-print-directory all
	$O/relevo demo

asan: deps
	+tests/run --only unit,e2e --build build/asan --make SAN=address,undefined

tsan: deps
	+tests/run --only unit,e2e --build build/tsan --make CC=clang --make SAN=thread

valgrind: deps units
	for t in $O/unit/net/*; do [ ! -x $$t ] || valgrind -q --error-exitcode=9 --trace-children=no $$t || exit 1; done

# ---- the simulated world: docs/design/simulation.md
SIM_SOURCES := $(filter-out tests/sim/sim.c tests/sim/nth.c,$(wildcard tests/sim/*.c))
# Calls that the simulator watches, or breaks.
SIM_WRAPS := transaction_run schedule_turn way_get way_pass way_give_back way_connect way_disconnect
$O/sim/%: tests/sim/%.c $(SIM_SOURCES) $(wildcard tests/sim/*.h) $(archives)
	@mkdir -p $(@D)
	@echo "  test $@"
	$(QUIET)$(CC) $(filter-out -MMD -MP,$(CPPFLAGS)) $(CFLAGS) -Wno-frame-larger-than -Itests $(LDFLAGS) $(SIM_WRAPS:%=-Wl,--wrap=%) \
		-o $@ $< $(SIM_SOURCES) $(foreach f,$(call reverse,$(FOLDERS)),$O/lib$f.a) $(LDLIBS)

sims: $O/sim/sim $O/sim/nth

sim: sims
	$O/sim/sim --first $(FIRST) --seeds $(SEEDS) $(if $(TRACE),--trace --jobs 1)

# ---- fuzzing: tests/fuzz/NAME.c becomes $O/fuzz/NAME (clang's libFuzzer); the code once more, for it
FUZZERS := $(patsubst tests/fuzz/%.c,$O/fuzz/%,$(wildcard tests/fuzz/*.c))
FUZZ_MAKE = $(MAKE) --no-print-directory CC=clang O=$O/fuzz-code SAN=fuzzer-no-link,address,undefined

fuzz-code:
	+$(FUZZ_MAKE) archives

$O/fuzz/%: tests/fuzz/%.c $(wildcard tests/fuzz/*.h) fuzz-code
	@mkdir -p $(@D)
	$(QUIET)clang $(DEFINES) -Isrc -Itests -include base/banned.h -std=gnu17 -O1 -g -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -pthread -o $@ $< $(foreach f,$(call reverse,$(FOLDERS)),$O/fuzz-code/lib$f.a) -lcmocka $(LDLIBS)

fuzzers: $(FUZZERS)

fuzz: deps fuzzers
	tests/run --only fuzz --seconds $(SECONDS)

# What the corpora reach: the targets once more, with clang's coverage of the source; tests/fuzz/coverage shows it
COVERAGE := -fprofile-instr-generate -fcoverage-mapping
COVERED := $(patsubst tests/fuzz/%.c,$O/fuzz-coverage/%,$(wildcard tests/fuzz/*.c))

coverage-code:
	+$(MAKE) --no-print-directory CC=clang O=$O/fuzz-coverage/code SAN=fuzzer-no-link CFLAGS_EXTRA='$(COVERAGE)' archives

$O/fuzz-coverage/%: tests/fuzz/%.c $(wildcard tests/fuzz/*.h) coverage-code
	@mkdir -p $(@D)
	$(QUIET)clang $(DEFINES) -Isrc -Itests -include base/banned.h -std=gnu17 -O1 -g -fsanitize=fuzzer $(COVERAGE) -pthread \
		-o $@ $< $(foreach f,$(call reverse,$(FOLDERS)),$O/fuzz-coverage/code/lib$f.a) -lcmocka $(LDLIBS)

fuzz-coverage: deps $(COVERED)
	tests/fuzz/coverage $O/fuzz-coverage

tidy:
	tools/tidy

reference: $O/relevo
	$O/relevo reference settings >docs/reference/configuration.md
	$O/relevo reference events >docs/reference/log.md
	$O/relevo reference errors >docs/reference/errors.md

bench: deps all
	bench/run

# What needs our code: bench/signer.c
$O/bench/signer: bench/signer.c $(archives)
	@mkdir -p $(@D)
	$(QUIET)$(CC) $(filter-out -MMD -MP,$(CPPFLAGS)) $(CFLAGS) $(LDFLAGS) -o $@ $< $(foreach f,$(call reverse,$(FOLDERS)),$O/lib$f.a) $(LDLIBS)

crash: deps all
	RELEVO_BUILD=$O tests/crash/run

aarch64:
	tools/aarch64

deps:
	@tools/deps

install: all
	install -D -m 0755 $O/relevo $(DESTDIR)$(prefix)/sbin/relevo
	install -D -m 0644 docs/relevo.conf $(DESTDIR)/etc/relevo/relevo.conf.example
	install -D -m 0644 data/providers.conf $(DESTDIR)$(prefix)/share/relevo/providers.conf
	sed 's|/usr/local/|$(prefix)/|' tools/relevo.service >$O/relevo.service
	install -D -m 0644 $O/relevo.service $(DESTDIR)/lib/systemd/system/relevo.service
	install -D -m 0644 tools/relevo.sysusers $(DESTDIR)/usr/lib/sysusers.d/relevo.conf
	install -D -m 0644 tools/relevo.tmpfiles $(DESTDIR)/usr/lib/tmpfiles.d/relevo.conf
	install -d $(DESTDIR)$(prefix)/share/doc/relevo
	cp -R README.md ARCHITECTURE.md docs $(DESTDIR)$(prefix)/share/doc/relevo
	[ -e $(DESTDIR)/etc/relevo/relevo.conf ] || install -m 0644 docs/relevo.conf $(DESTDIR)/etc/relevo/relevo.conf

clean:
	rm -rf build

-include $(shell find $O -path '$O/peers' -prune -o -name '*.d' -type f -print 2>/dev/null)

.PHONY: sim sims crash fuzz-code coverage-code fuzz-coverage archives valgrind aarch64 all units test run asan tsan fuzz fuzzers tidy reference bench deps install clean
