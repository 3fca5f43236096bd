uniform mat4 view_projection;

void main() { gl_Position = view_projection * vec4(placed(position * scale_shade.xyz), 1.0); }
