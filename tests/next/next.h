/* The next release's kinds and fields. */
#ifndef TESTS_NEXT_NEXT_H
#define TESTS_NEXT_NEXT_H

#include "proto/schema/kind.h"

extern const struct kind kind_widget;

/* For a file of proto/kinds that is included behind this: every schema in it has one field more, "novelty". */
#define NEXT_FIELD STRING("novelty", "New in this release.", SINCE(2))

#endif
