/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Thread-local variables that another file uses: one for everybody, one for the library alone.
 */
__thread long elsewhere = 70;
__thread char hidden_elsewhere[3] __attribute__((visibility("hidden"))) = {'h', 'i', 'd'};
