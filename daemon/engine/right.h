// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What a method asks of who calls it: the column `right` of the tables of methods. */

enum right {
    RIGHT_UNNAMED,  /* nobody has thought of it: for the administrator alone */
    RIGHT_NONE,     /* for whoever can connect */
    RIGHT_KNOWN,    /* for every principal */
    RIGHT_SUBMIT,   /* new tasks, of functions that may be restricted */
    RIGHT_READ,     /* its own futures; with RIGHT_READ_ALL those of its namespace */
    RIGHT_READ_ALL, /* also how the daemon is doing */
    RIGHT_ANNOTATE, /* change what it may read */
    RIGHT_CANCEL,   /* cancel and delete what it may read */
    RIGHT_WORKER,   /* run tasks, of every namespace */
    RIGHT_ADMIN,    /* all of these, and the daemon itself */
};
