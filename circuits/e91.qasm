OPENQASM 3.0;
include "stdgates.inc";
// One E91 pair. Alice measures q[0] at angle a, Bob q[1] at angle b, both in the x-z plane.
input float[64] a;
input float[64] b;
qubit[2] q;
bit[2] c;
h q[0];
cx q[0], q[1];
barrier q;
ry(-a) q[0];
ry(-b) q[1];
c[0] = measure q[0];
c[1] = measure q[1];
