/* Deletions of many objects that go on in later turns. Inside of master/api. */
#ifndef MASTER_API_DELETE_H
#define MASTER_API_DELETE_H

#include "master/api/api.h"

void clear_go_on(struct api_call *c);  /* the next piece; of its call alone that has one */
void clear_let_go(struct api_call *c); /* it goes no further; harmless if there is none */

#endif
