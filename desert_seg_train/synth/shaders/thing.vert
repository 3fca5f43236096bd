in vec3 normal, color;
out vec3 world, world_normal, albedo, local;

void main() {
  local = position * scale_shade.xyz;
  world = placed(local);
  world_normal = turn() * (normal / scale_shade.xyz);
  albedo = color * scale_shade.w * (1.0 + vec3(0.22, 0.0, -0.22) * slope_hue.z);
  gl_Position = view_projection * vec4(world, 1.0);
}
