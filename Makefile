# SPDX-License-Identifier: GPL-2.0
# qcow: QCOW disk images as block devices. `make help` lists the targets.

PREFIX ?= /usr/local
DESTDIR ?=

# Headers of the running kernel; without them, Debian's 6.12, the reference.
KDIR ?= $(firstword $(wildcard /lib/modules/$(shell uname -r)/build) \
	$(lastword $(sort $(wildcard /lib/modules/6.12*/build))))

TOOL := tools/qcowctl

.PHONY: all modules tool install uninstall demo check bench clean help

all: modules tool

modules:
	@test -n "$(KDIR)" || { echo "no kernel headers: run scripts/deps build," \
		"or name them: make KDIR=..." >&2; exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

tool:
	$(MAKE) -C $(TOOL)

install: all
	$(MAKE) -C $(KDIR) M=$(CURDIR) $(if $(DESTDIR),INSTALL_MOD_PATH=$(DESTDIR)) modules_install
	$(MAKE) -C $(TOOL) DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) install

uninstall:
	release=$$($(MAKE) -s -C $(KDIR) kernelrelease) && \
		rm -f $(DESTDIR)/lib/modules/$$release/updates/drivers/block/qcow/qcow.ko*
	$(MAKE) -C $(TOOL) DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) uninstall

demo:
	scripts/demo

check:
	scripts/check/all

bench:
	scripts/bench/run

clean:
	$(if $(KDIR),$(MAKE) -C $(KDIR) M=$(CURDIR) clean)
	$(MAKE) -C $(TOOL) clean
	$(MAKE) -C tools/fuzz clean
	rm -rf build

help:
	@echo "make            the module and qcowctl (KDIR=: kernel build directory)"
	@echo "make install    both, the manual page and completion (DESTDIR=, PREFIX=)"
	@echo "make uninstall"
	@echo "make demo       attach an image in a VM and look into it"
	@echo "make check      all tests (scripts/check/all)"
	@echo "make bench      figures beside loop and qemu-nbd"
	@echo "make clean"
