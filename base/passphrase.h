/* Passphrases, for programs at a terminal: from a file or typed without echo. Never from a command line, where
 * everybody on the machine would see them, and never from the environment, which children inherit. */
#ifndef BASE_PASSPHRASE_H
#define BASE_PASSPHRASE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

#define PASSPHRASE_MAX 1024u

/* file: its first line ("-": standard input's); NULL: asked for on the terminal, twice if it is a new one. Without a
 * terminal ERR_USAGE says to name a file (option is its option's name). A new one must have min bytes or more
 * (ERR_INVALID). The caller wipes out with buf_wipe. */
int passphrase_read(const char *file, const char *option, const char *prompt, bool fresh, unsigned min, struct buf *out,
                    struct error *err);

#endif
