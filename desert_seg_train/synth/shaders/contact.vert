// Seen from above: a soft dark disc under every thing.
uniform vec4 area;  // middle x, y and half size of the map, metres; reach of the disc in parts of the thing's scale
in vec2 corner;
in vec4 at_yaw, scale_shade;
out vec2 from_middle;

void main() {
  from_middle = corner;
  gl_Position = vec4((at_yaw.xy + corner * scale_shade.xy * area.w - area.xy) / area.z, 0.0, 1.0);
}
