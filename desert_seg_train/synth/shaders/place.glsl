// Prepended to every vertex shader that draws things: turns, scales and moves one, and shears it to the ground's slope.
in vec3 position;
in vec4 at_yaw, scale_shade, slope_hue;

mat3 turn() {
  float s = sin(at_yaw.w), c = cos(at_yaw.w);
  return mat3(c, s, 0, -s, c, 0, 0, 0, 1);
}

vec3 placed(vec3 scaled) {
  vec3 offset = turn() * scaled;
  offset.z += dot(slope_hue.xy, offset.xy);
  return at_yaw.xyz + offset;
}
