# SPDX-License-Identifier: GPL-2.0
# qcow: QCOW disk images as block devices. `make help` lists the targets.

PREFIX ?= /usr/local
DESTDIR ?=

# The build directory of the kernel that the module is for: the running one.
RUNNING := $(shell uname -r)
KDIR ?= /lib/modules/$(RUNNING)/build
# What belongs to root may have depmod alone in its path.
DEPMOD := PATH=$$PATH:/usr/sbin:/sbin depmod

TOOL := tools/qcowctl

.PHONY: all modules tool install uninstall deb demo check bench clean help

all: modules tool

modules:
	@test -e $(KDIR)/Makefile || { echo "$(KDIR): no headers of a kernel;" \
		"those of the running one: apt-get install linux-headers-$(RUNNING);" \
		"another one: make KDIR=DIRECTORY" >&2; exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

tool:
	$(MAKE) -C $(TOOL)

install: all
	@# older kernels have another directory by default, which uninstall does not know
	$(MAKE) -C $(KDIR) M=$(CURDIR) INSTALL_MOD_STRIP=1 INSTALL_MOD_DIR=updates \
		INSTALL_MOD_PATH=$(DESTDIR) modules_install
	@# modules_install runs depmod for a kernel that was built in KDIR, and not for headers
	@# nor does its kernelrelease, with those of Debian's 6.1, know the name of the directory
	@release=$$(sed -n 's/^.define UTS_RELEASE "\(.*\)"$$/\1/p' \
			$(KDIR)/include/generated/utsrelease.h) && \
		$(if $(DESTDIR),,$(DEPMOD) $$release &&) \
		echo "qcow: installed for $$release; the running kernel is $(RUNNING)"
	$(MAKE) -C $(TOOL) DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) install

# Of every kernel that it was installed for, with or without their headers.
uninstall:
	@for dir in $(DESTDIR)/lib/modules/*/updates/drivers/block/qcow; do \
		test -d $$dir || continue; \
		release=$${dir#$(DESTDIR)/lib/modules/}; release=$${release%%/*}; \
		echo "qcow: removed for $$release"; \
		rm -r $$dir; \
		rmdir -p --ignore-fail-on-non-empty $${dir%/qcow}; \
		$(if $(DESTDIR),:,$(DEPMOD) $$release); \
	done
	$(MAKE) -C $(TOOL) DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) uninstall

deb:
	scripts/deb

demo:
	scripts/demo

check:
	scripts/check/all

bench:
	scripts/bench/run

clean:
	test ! -e $(KDIR)/Makefile || $(MAKE) -C $(KDIR) M=$(CURDIR) clean
	$(MAKE) -C $(TOOL) clean
	$(MAKE) -C tools/fuzz clean
	rm -rf build

help:
	@echo "make            the module for the running kernel, or KDIR=, and qcowctl"
	@echo "make install    both, the manual page and completion (DESTDIR=, PREFIX=)"
	@echo "make uninstall"
	@echo "make deb        Debian packages of both in build/deb"
	@echo "make demo       attach an image in a VM and look into it"
	@echo "make check      all tests (scripts/check/all)"
	@echo "make bench      figures beside loop and qemu-nbd"
	@echo "make clean"
